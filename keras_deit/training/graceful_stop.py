"""Ending a run in good order when it is interrupted."""

import signal
import threading

import keras


class GracefulStop(keras.callbacks.Callback):
    """Ends training after the current batch on Ctrl-C or SIGTERM; a second signal ends it at once.

    An exception in the middle of a step would leave a JAX model without its variables. A signal that arrives during
    validation takes effect when the validation ends, so the epoch is whole.

    Attributes:
        interrupted: Whether a signal arrived.

    Example:

    ```python
    with GracefulStop() as stop:
        model.fit(batches, callbacks=[stop])
    ```
    """

    def __init__(self):
        super().__init__()
        self.interrupted = False

    def __enter__(self):
        self._former = {}
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to this thread only
            self._former = {kind: signal.signal(kind, self._stop) for kind in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for kind, handler in self._former.items():
            signal.signal(kind, handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.interrupted:
            self.model.stop_training = True

    def _stop(self, kind, frame):
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        print("\nStopping after this batch. Press Ctrl-C again to stop at once.", flush=True)
