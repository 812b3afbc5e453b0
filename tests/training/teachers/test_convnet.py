"""The small convolutional teacher."""

import itertools

import numpy as np

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from keras_deit.training.teachers import convnet


def test_the_convnet_outputs_logits_for_any_small_image():
    teacher = convnet.small_convnet(12, 7)
    logits = teacher.predict(np.random.default_rng(0).normal(size=(3, 12, 12, 3)), verbose=0)
    assert logits.shape == (3, 7)
    assert logits.min() < 0


def test_a_poor_teacher_is_used_but_not_kept_and_an_unreadable_teacher_is_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(convnet, "EPOCHS", 1)
    rng = np.random.default_rng(0)
    noise = ImageData("noise", rng.integers(0, 256, (64, 8, 8, 3), dtype="uint8"), rng.integers(0, 2, 64), ("a", "b"))
    path = convnet.kept_path(noise)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a model")
    _, accuracy = convnet.trained_convnet(noise, noise, num_replicas=1, seed=0)
    printed = capsys.readouterr().out
    assert accuracy < 0.98
    assert "cannot be read" in printed
    assert "used but not cached" in printed
    assert path.read_bytes() == b"not a model"


def test_a_home_that_is_not_writable_does_not_stop_a_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))  # no directory can be made in a file
    monkeypatch.setattr(convnet, "EPOCHS", 1)
    monkeypatch.setattr(convnet, "MIN_ACCURACY", 0.0)
    noise = ImageData("noise", np.zeros((64, 8, 8, 3), "uint8"), np.arange(64) % 2, ("a", "b"))
    teacher, _ = convnet.trained_convnet(noise, noise, num_replicas=1, seed=0)
    assert teacher.output_shape == (None, 2)
    assert "cannot be cached" in capsys.readouterr().out


def test_training_batches_are_shifted_images_in_the_order_of_the_plan():
    rng = np.random.default_rng(0)
    data = ImageData("noise", rng.integers(0, 256, (10, 6, 5, 3), dtype="uint8"), np.arange(10) % 3, ("a", "b", "c"))
    plan = SamplingPlan(10, batch_size=4, image_size=(6, 5), seed=3)
    for epoch, index in itertools.product(range(2), range(2)):
        images, labels = convnet.ShiftedBatches(data, plan, epoch)[index]
        indices, _ = plan.samples(epoch, index)
        np.testing.assert_array_equal(labels, np.eye(3)[data.labels[indices]])
        pixels = (images * kd.IMAGENET_STD + kd.IMAGENET_MEAN) * 255
        np.testing.assert_allclose(pixels[:, 1:-1, 1:-1].round(), pixels[:, 1:-1, 1:-1], atol=1e-3)
        for shifted, original in zip(pixels.round(), data.images[indices], strict=True):
            padded = np.pad(original, ((1, 1), (1, 1), (0, 0)), mode="edge")
            assert any(
                np.array_equal(padded[i : i + 6, j : j + 5], shifted) for i, j in itertools.product(range(3), repeat=2)
            )
        again = convnet.ShiftedBatches(data, plan, epoch)[index]
        np.testing.assert_array_equal(again[0], images)
    assert convnet.ShiftedBatches(data, plan, epoch=0).num_batches == 2
