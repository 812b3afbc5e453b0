"""The small convolutional teacher."""

import numpy as np

from keras_deit.data import ImageData
from keras_deit.training import convnet


def test_it_answers_with_logits_for_any_small_image():
    teacher = convnet.small_convnet(12, 7)
    answers = teacher.predict(np.random.default_rng(0).normal(size=(3, 12, 12, 3)), verbose=0)
    assert answers.shape == (3, 7)
    assert answers.min() < 0


def test_a_poor_teacher_is_used_but_not_kept_and_an_unreadable_one_is_replaced(tmp_path, monkeypatch, capsys):
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
    assert "used but not kept" in printed
    assert path.read_bytes() == b"not a model"


def test_a_home_that_cannot_be_written_to_costs_no_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))  # no directory can be made in a file
    monkeypatch.setattr(convnet, "EPOCHS", 1)
    monkeypatch.setattr(convnet, "WANTED_ACCURACY", 0.0)
    noise = ImageData("noise", np.zeros((64, 8, 8, 3), "uint8"), np.arange(64) % 2, ("a", "b"))
    teacher, _ = convnet.trained_convnet(noise, noise, num_replicas=1, seed=0)
    assert teacher.output_shape == (None, 2)
    assert "could not be kept" in capsys.readouterr().out
