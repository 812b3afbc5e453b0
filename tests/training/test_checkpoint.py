"""Going on from the last whole epoch."""

import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import Batches, FollowEpochs, ImageData
from keras_deit.training import checkpoint
from keras_deit.training.history import History


def made(seed=0):
    """A Distiller with dropping branches, momentum and a schedule: all that a checkpoint has to keep."""
    keras.utils.set_random_seed(seed)
    sizes = dict(num_classes=3, image_size=8, patch_size=4, num_layers=2, hidden_dim=12, num_heads=3)
    student = kd.DeiT.from_variant("deit_ti", drop_path_rate=0.5, **sizes)
    teacher = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    teacher.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in teacher.get_weights()])
    distiller = kd.Distiller(student, teacher)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 12)
    distiller.compile(keras.optimizers.AdamW(schedule), keras.losses.CategoricalCrossentropy(from_logits=True))
    return distiller


def fit(distiller, directory, epochs, begin=0, history=None):
    rng = np.random.default_rng(0)
    data = ImageData("noise", rng.integers(0, 256, (16, 8, 8, 3), dtype="uint8"), np.arange(16) % 3, ("a", "b", "c"))
    batches = Batches(data, 4, training=True, shift_pixels=1)
    history = history or History(directory / "history.csv", batch_size=4)
    callbacks = [FollowEpochs(batches), history, checkpoint.EpochCheckpoint(directory, history)]
    distiller.fit(batches, epochs=epochs, initial_epoch=begin, shuffle=False, callbacks=callbacks, verbose=0)
    return history


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = made()
    expected = fit(uninterrupted, whole, epochs=3)
    fit(made(), cut, epochs=2)

    resumed = made(seed=9)  # nothing of the fresh model may matter
    history = History(cut / "history.csv", batch_size=4)
    done = checkpoint.restore(resumed, cut, history)
    assert done == checkpoint.epochs_done(cut) == 2
    assert checkpoint.backend_of(cut) == keras.backend.backend()
    fit(resumed, cut, epochs=3, begin=done, history=history)
    for ours, theirs in zip(resumed.student.get_weights(), uninterrupted.student.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    np.testing.assert_allclose([row["loss"] for row in history.rows], [row["loss"] for row in expected.rows], rtol=1e-5)


def test_a_cut_while_writing_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    fit(made(), tmp_path, epochs=1)

    def pulls_the_cable(*_, **__):
        raise OSError("cable")

    distiller = made()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", pulls_the_cable)
        with pytest.raises(OSError, match="cable"):
            fit(distiller, tmp_path, epochs=2, begin=1)
    history = History(tmp_path / "history.csv", batch_size=4)
    assert checkpoint.restore(made(), tmp_path, history) == 1
    (tmp_path / "checkpoint" / ".DS_Store").touch()  # file managers leave such things
    fit(made(), tmp_path, epochs=2, begin=1)  # and the half-written one is no obstacle
    assert json.loads((tmp_path / checkpoint.POINTER).read_text())["epoch"] == 2
    assert [folder.name for folder in (tmp_path / "checkpoint").glob("epoch-*")] == ["epoch-00002"]


def test_there_is_nothing_to_restore_at_first_and_nothing_left_when_discarded(tmp_path):
    assert checkpoint.restore(made(), tmp_path, History(tmp_path / "history.csv", batch_size=4)) == 0
    fit(made(), tmp_path, epochs=1)
    checkpoint.discard(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
