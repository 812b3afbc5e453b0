"""Resuming after the last whole epoch."""

import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import Augmentation, ImageData, InputPipeline
from keras_deit.training import checkpoint
from keras_deit.training.log import TrainingLog


def make_distiller(seed=0):
    """A Distiller with drop path, momentum and a schedule: everything that a checkpoint must keep."""
    keras.utils.set_random_seed(seed)
    sizes = dict(num_classes=3, image_size=8, patch_size=4, num_layers=1, hidden_dim=12, num_heads=3)
    student = kd.DeiT.from_variant("deit_ti", drop_path_rate=0.5, drop_path_schedule="constant", **sizes)
    teacher = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    teacher.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in teacher.get_weights()])
    distiller = kd.Distiller(student, teacher)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 12)
    distiller.compile(keras.optimizers.AdamW(schedule), keras.losses.CategoricalCrossentropy(from_logits=True))
    return distiller


def make_linear():
    """A model that is compiled at once, for tests of the files alone."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def fit(model, directory, epochs, first_epoch=0, log=None):
    rng = np.random.default_rng(0)
    data = ImageData("noise", rng.integers(0, 256, (16, 8, 8, 3), dtype="uint8"), np.arange(16) % 3, ("a", "b", "c"))
    pipeline = InputPipeline(data, image_size=8, batch_size=4, augmentation=Augmentation(flip=0.5), pipeline="python")
    log = log or TrainingLog(directory / "history.csv", batch_size=4)
    callbacks = [log, checkpoint.EpochCheckpoint(directory, log)]
    options = dict(epochs=epochs, initial_epoch=first_epoch, steps_per_epoch=pipeline.steps, shuffle=False, verbose=0)
    model.fit(pipeline.training_batches(first_epoch), callbacks=callbacks, **options)
    return log


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_run(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = make_distiller()
    expected = fit(uninterrupted, whole, epochs=3)
    fit(make_distiller(), cut, epochs=2)

    resumed = make_distiller(seed=9)  # nothing of the fresh model may matter
    log = TrainingLog(cut / "history.csv", batch_size=4)
    done = checkpoint.restore(resumed, cut, log)
    assert done == checkpoint.epochs_done(cut) == 2
    assert checkpoint.backend_of(cut) == keras.backend.backend()
    fit(resumed, cut, epochs=3, first_epoch=done, log=log)
    for ours, theirs in zip(resumed.student.get_weights(), uninterrupted.student.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [row["epoch"] for row in log.rows] == [1, 2, 3]
    np.testing.assert_allclose([row["loss"] for row in log.rows], [row["loss"] for row in expected.rows], rtol=1e-5)


def test_an_interruption_while_a_checkpoint_is_written_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    fit(make_linear(), tmp_path, epochs=1)

    def cut_power(*_, **__):
        raise OSError("power cut")

    model = make_linear()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", cut_power)
        with pytest.raises(OSError, match="power cut"):
            fit(model, tmp_path, epochs=2, first_epoch=1)
    log = TrainingLog(tmp_path / "history.csv", batch_size=4)
    assert checkpoint.restore(make_linear(), tmp_path, log) == 1
    (tmp_path / "checkpoint" / ".DS_Store").touch()  # file managers leave such files
    fit(make_linear(), tmp_path, epochs=2, first_epoch=1)  # the half-written folder is replaced
    assert json.loads((tmp_path / checkpoint.POINTER).read_text())["epoch"] == 2
    assert [folder.name for folder in (tmp_path / "checkpoint").glob("epoch-*")] == ["epoch-00002"]


def test_a_new_run_has_no_checkpoint_and_a_discarded_checkpoint_leaves_nothing(tmp_path):
    assert checkpoint.restore(make_linear(), tmp_path, TrainingLog(tmp_path / "history.csv", batch_size=4)) == 0
    assert checkpoint.epochs_done(tmp_path) == 0
    assert checkpoint.backend_of(tmp_path) is None
    fit(make_linear(), tmp_path, epochs=1)
    checkpoint.discard(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
