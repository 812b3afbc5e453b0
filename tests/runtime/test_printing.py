"""Printing text that the encoding of the output lacks."""

import io
import sys

import pytest

import keras_deit as kd
from keras_deit.runtime.printing import escaping_unprintable
from keras_deit.training import train

TEXT, ESCAPED = "8×8 " + b"caf\xe9".decode("utf-8", "surrogateescape"), b"8\\xd78 caf\\udce9\n"


def ascii_streams(monkeypatch):
    """Standard output and error without other characters; not a fixture, whose streams pytest would replace."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    return sys.stdout, sys.stderr


@pytest.mark.backend_independent
def test_what_the_encoding_of_the_terminal_lacks_is_escaped_within_the_block(monkeypatch):
    streams = ascii_streams(monkeypatch)
    with escaping_unprintable():
        for stream in streams:
            print(TEXT, file=stream, flush=True)
            assert stream.buffer.getvalue() == ESCAPED
    with pytest.raises(UnicodeEncodeError):
        print(TEXT)


@pytest.mark.backend_independent
def test_a_run_from_python_escapes_too(monkeypatch):
    output, _ = ascii_streams(monkeypatch)

    def interrupted(*_):
        print(TEXT, flush=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "prepared_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kd.train(variant="deit_ti")
    assert output.buffer.getvalue() == ESCAPED
