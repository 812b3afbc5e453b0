"""Ctrl-C during training."""

import os
import signal
import threading

import keras
import numpy as np
import pytest

from keras_deit.training.graceful_stop import GracefulStop
from keras_deit.training.log import TrainingLog
from tests.training.small_fit import fit


def test_ctrl_c_ends_training_after_the_batch_and_a_second_ctrl_c_at_once(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with GracefulStop() as stop:

        class PressCtrlC(keras.callbacks.Callback):
            batches = 0

            def on_train_batch_begin(self, batch, logs=None):
                self.batches += 1
                if self.batches == 2:
                    os.kill(os.getpid(), signal.SIGINT)

        press = PressCtrlC()
        log = TrainingLog(tmp_path / "history.csv", batch_size=2)
        model = fit([press, stop, log])
        assert log.rows == []  # no epoch was whole
        assert not (tmp_path / "history.csv").exists()
        assert stop.interrupted
        assert press.batches == 2
        assert np.all(np.isfinite(model.get_weights()[0]))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_a_validation_ends_training_after_a_whole_epoch(tmp_path):
    class PressCtrlC(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            signal.raise_signal(signal.SIGINT)

    log = TrainingLog(tmp_path / "history.csv", batch_size=2)
    with GracefulStop() as stop:
        fit([PressCtrlC(), stop, log])
    assert log.last_epoch == 1


def test_outside_the_main_thread_signals_are_left_alone():
    handler, errors = signal.getsignal(signal.SIGINT), []

    def enter():
        try:
            with GracefulStop():
                assert signal.getsignal(signal.SIGINT) is handler
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not errors
