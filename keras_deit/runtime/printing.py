"""Output that people can read: on any terminal, in files while they are written, and durations."""

import contextlib
import sys


@contextlib.contextmanager
def readable_output():
    """Prepares standard output and error while the block runs.

    They escape what their encoding lacks, such as `×` under `LC_ALL=C`, and names of files that are not in UTF-8. They write
    every line at once, so that the file of a redirected output can be watched with `tail -f`.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]  # not one of a notebook
    before = [(stream, stream.errors, stream.line_buffering) for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        yield
    finally:
        for stream, errors, line_buffering in before:
            stream.reconfigure(errors=errors, line_buffering=line_buffering)


def format_duration(seconds):
    """Formats a duration for people to read.

    Args:
        seconds: Float.

    Returns:
        String.

    Example:

    >>> format_duration(75)
    '1 min 15 s'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def format_count(number, noun):
    """Formats a number of things for people to read.

    Args:
        number: Integer.
        noun: Name of one thing, whose plural ends in an s.

    Example:

    >>> format_count(1, "epoch"), format_count(1200, "epoch")
    ('1 epoch', '1,200 epochs')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
