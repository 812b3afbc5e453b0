"""Signals that ask the process to stop."""

import contextlib
import signal
import subprocess
import sys
import threading

import pytest

from keras_deit.runtime.stop_signals import INTERRUPTED, KINDS, STOPPED, StopSignals

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_interrupts_except_where_it_is_deferred(kind):
    former = signal.getsignal(kind)
    with StopSignals() as stop:
        with stop.deferred():
            signal.raise_signal(kind)
            assert stop.received == kind
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(kind)  # a second one
        with pytest.raises(KeyboardInterrupt), stop.deferred():
            pytest.fail("a signal that came before must not be forgotten")
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(kind)
    assert stop.exit_status == (INTERRUPTED if kind == signal.SIGINT else STOPPED)
    assert signal.getsignal(kind) is former


def test_a_signal_whose_exception_was_swallowed_is_not_forgotten():
    with StopSignals() as stop:
        stop.check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_a_deferred_signal_is_announced_at_once():
    announced = threading.Event()
    with StopSignals(announced.set) as stop, stop.deferred():
        signal.raise_signal(signal.SIGTERM)
        assert announced.wait(timeout=600)


def test_outside_of_the_main_thread_signals_are_left_alone():
    handler, errors = signal.getsignal(signal.SIGINT), []

    def enter():
        try:
            with StopSignals():
                assert signal.getsignal(signal.SIGINT) is handler
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not errors


BUSY = """
import hashlib
from keras_deit.runtime.stop_signals import StopSignals
with StopSignals(lambda: print("stopping", flush=True)) as stop, stop.deferred():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes in which Python runs no handler
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to other processes")
def test_a_second_signal_ends_a_process_that_is_busy_outside_of_python():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=600) == INTERRUPTED
