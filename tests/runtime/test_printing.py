"""Output that can be read."""

import io
import sys

import pytest

import keras_deit as kd
from keras_deit.runtime.printing import format_duration, readable_output
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
    with readable_output():
        for stream in streams:
            print(TEXT, file=stream, flush=True)
            assert stream.buffer.getvalue() == ESCAPED
    with pytest.raises(UnicodeEncodeError):
        print(TEXT)


@pytest.mark.backend_independent
def test_a_file_has_every_line_at_once_within_the_block(monkeypatch):
    output, _ = ascii_streams(monkeypatch)
    with readable_output():
        print("epoch 1")
        assert output.buffer.getvalue() == b"epoch 1\n"
    print("epoch 2")
    assert output.buffer.getvalue() == b"epoch 1\n"


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


@pytest.mark.backend_independent
@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (3700, "1 h 1 min")])
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text
