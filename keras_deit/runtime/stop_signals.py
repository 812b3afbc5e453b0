"""Signals that ask the process to stop: Ctrl-C, and those by which job schedulers announce the end of a job."""

import contextlib
import os
import signal
import socket
import threading
import time

STOPPED = 75  # exit status of a process that a signal stopped and that can be continued: EX_TEMPFAIL of sysexits.h
INTERRUPTED = 130  # exit status after Ctrl-C, as in shells
PATIENCE = 3.0  # seconds that Python has to answer a second signal
KINDS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)  # Windows has no SIGUSR1


class StopSignals:
    """Receives SIGINT (Ctrl-C), SIGTERM and SIGUSR1 while the context is open.

    A signal raises KeyboardInterrupt, except within `deferred`: there it is remembered for the code that can end in good
    order. A second signal raises KeyboardInterrupt there too. If Python cannot run, because a library compiles or waits, a
    thread ends the process a few seconds after the second signal.

    A signal that the process was started to ignore is received as well: shells start background jobs so.

    Args:
        announce: Function without arguments that a thread calls at the first deferred signal, or None.

    Attributes:
        received: The first signal that arrived, or None.

    Example:

    >>> with StopSignals() as stop:
    ...     with stop.deferred():
    ...         signal.raise_signal(signal.SIGTERM)
    ...     stop.received
    <Signals.SIGTERM: 15>
    """

    def __init__(self, announce=None):
        self.received = None
        self._announce = announce
        self._is_deferred = False
        self._num_handled = 0

    def __enter__(self):
        self._former = {}
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to this thread only
            self._former = {kind: signal.signal(kind, self._handle) for kind in KINDS}
            self._start_watching()
        return self

    def __exit__(self, *_):
        for kind, handler in self._former.items():
            signal.signal(kind, handler)
        if self._former:
            signal.set_wakeup_fd(self._former_wakeup)
            self._sender.close()  # which ends the thread

    @property
    def exit_status(self):
        """Exit status of a process that the signal ended at once."""
        return INTERRUPTED if self.received in (None, signal.SIGINT) else STOPPED

    def check(self):
        """Raises KeyboardInterrupt if a signal has arrived: a library may have swallowed the first one."""
        if self.received:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def deferred(self):
        """Remembers a signal within the context instead of raising KeyboardInterrupt.

        Raises:
            KeyboardInterrupt: If a signal has arrived before.
        """
        self.check()
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def _handle(self, kind, frame):
        self._num_handled += 1
        is_first, self.received = self.received is None, self.received or signal.Signals(kind)
        if not (is_first and self._is_deferred):
            raise KeyboardInterrupt

    def _start_watching(self):
        """Starts a thread that sees a signal at once, also while the main thread is busy outside of Python."""
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._former_wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(receiver,), daemon=True, name="stop signals").start()

    def _watch(self, receiver):
        num_seen = 0
        with receiver:
            for kind in iter(lambda: receiver.recv(1), b""):  # one byte for each signal, its number
                if kind[0] not in KINDS:
                    continue
                num_seen += 1
                if num_seen == 1 and self._is_deferred and self._announce:
                    self._announce()
                if num_seen == 2:
                    time.sleep(PATIENCE)
                    if self._num_handled < num_seen:
                        os._exit(INTERRUPTED)
