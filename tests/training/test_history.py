"""What a run reports while it trains."""

import csv
import os
import signal

import keras
import numpy as np
import pytest

from keras_deit.training.history import GracefulStop, History, Progress, duration

pytest.importorskip("tqdm", reason="the progress bar is tqdm's")


def fitted(callbacks, epochs=3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), "mse")
    x = np.zeros((8, 2), "float32")
    model.fit(x, x[:, :1], batch_size=2, epochs=epochs, validation_data=(x, x[:, :1]), callbacks=callbacks, verbose=0)
    return model


def test_every_epoch_becomes_a_row_of_the_file(tmp_path):
    history = History(tmp_path / "history.csv", batch_size=2)
    fitted([history])
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {float(row["learning_rate"]) for row in rows} == {0.125}
    assert all(float(row["val_loss"]) == 0.0 and float(row["seconds"]) > 0 for row in rows)
    speeds = [8 / float(row["seconds"]) for row in rows]
    np.testing.assert_allclose(history.images_per_second, np.mean(speeds[1:]), rtol=1e-6)


def test_it_knows_its_place_in_the_run(tmp_path):
    history, places = History(tmp_path / "history.csv", batch_size=2), []

    class Looks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            places.append(history.place)

        def on_test_begin(self, logs=None):
            places.append(history.place)

        def on_epoch_end(self, epoch, logs=None):
            places.append(history.place)

    history.restore([{"epoch": 4}], seconds=0.0)
    assert history.place == (4, 0)  # before the first batch
    history.rows.clear()
    fitted([history, Looks()], epochs=2)
    first = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 4), (1, 0)]  # four batches, while it is evaluated, thereafter
    assert places == first + [(epoch + 1, batch) for epoch, batch in first]


def test_a_line_for_every_epoch_with_the_time_left(capsys):
    fitted([Progress("student", epochs=3, steps_per_epoch=4)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("student: epoch")]
    assert len(lines) == 3
    assert lines[0].startswith("student: epoch 1/3  loss 0.000")
    assert lines[2].endswith("0 s left")


def test_a_cut_epoch_is_told_as_one(capsys):
    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    fitted([Progress("student", epochs=3, steps_per_epoch=4), Stops()])
    assert capsys.readouterr().out.splitlines() == ["student: interrupted in epoch 1/3"]


def test_ctrl_c_ends_after_the_batch_and_the_second_one_at_once(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with GracefulStop() as stop:

        class PressesCtrlC(keras.callbacks.Callback):
            batches = 0

            def on_train_batch_begin(self, batch, logs=None):
                self.batches += 1
                if self.batches == 2:
                    os.kill(os.getpid(), signal.SIGINT)

        press = PressesCtrlC()
        history = History(tmp_path / "history.csv", batch_size=2)
        model = fitted([press, stop, history])
        assert history.rows == []  # no epoch was whole
        assert not (tmp_path / "history.csv").exists()
        assert stop.interrupted
        assert press.batches == 2
        assert np.all(np.isfinite(model.get_weights()[0]))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_a_validation_ends_after_a_whole_epoch(tmp_path):
    class PressesCtrlC(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            signal.raise_signal(signal.SIGINT)

    history = History(tmp_path / "history.csv", batch_size=2)
    with GracefulStop() as stop:
        fitted([PressesCtrlC(), stop, history])
    assert history.last_epoch == 1


def test_a_run_that_goes_on_keeps_its_rows_and_seconds(tmp_path):
    history = History(tmp_path / "history.csv", batch_size=2)
    history.restore([{"epoch": 7, "images_per_second": 5.0}], seconds=3600)
    assert history.last_epoch == 7
    assert 3600 < history.total_seconds < 3660
    assert history.images_per_second == 5.0


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (3700, "1 h 1 min")])
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
