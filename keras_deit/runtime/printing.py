"""Printing text that the encoding of the output lacks."""

import contextlib
import sys


@contextlib.contextmanager
def escaping_unprintable():
    """Lets standard output and error escape what their encoding lacks, while the block runs.

    Such as `×` under `LC_ALL=C`, and names of files that are not in UTF-8.
    """
    changed = [(stream, stream.errors) for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in changed:  # a test or a notebook may have replaced a stream by one that cannot be reconfigured
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in changed:
            stream.reconfigure(errors=errors)
