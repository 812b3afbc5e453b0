"""Teachers that are passed to `keras-deit train`."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging import imagenet
from keras_deit.models import variants
from keras_deit.training import usable_images
from keras_deit.training.best_epoch import BestEpoch
from tests.loopback import pretend_hub, serving
from tests.runs import ON_ONE_DEVICE, SHORTEST, need_run_packages, student_of, summary_of, train, weights_of

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")

SHALLOW = dict(widths=(24, 56, 152, 368), depths=(1, 1, 1, 1), group_width=8)  # a RegNetY-200MF of one block a stage
TINY = dict(widths=(8,), depths=(1,), group_width=8)


@pytest.mark.backend_independent
def test_a_published_convnet_teaches(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="it is downloaded")
    shallow = dataclasses.replace(variants.VARIANTS["regnety_002"], arguments=SHALLOW)
    monkeypatch.setitem(variants.VARIANTS, "regnety_002", shallow)
    convnet = kd.RegNetY.from_variant("regnety_002")
    file = kd.weights.to_timm(convnet, tmp_path / "model.safetensors")
    digits = dataclasses.replace(kd.data.load("digits", "test"), class_names=imagenet.class_names())
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: digits)
    with serving() as server:
        pretend_hub(monkeypatch, server.url)
        server.add_to_hub("timm/regnety_002.pycls_in1k", file.read_bytes())
        options = ["--dataset", "thousand", "--teacher", "regnety_002", "--output-dir", tmp_path / "run"]
        assert train(*SHORTEST, *options) == 0
    images = ((digits.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
    predictions = convnet.predict(images, verbose=0).argmax(axis=-1)
    np.testing.assert_allclose(
        summary_of(tmp_path / "run")["teacher"]["accuracy"], (predictions == digits.labels).mean(), atol=1e-6
    )


def test_a_given_teacher_receives_the_images_that_it_was_trained_on(tmp_path, capsys):
    teacher = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    teacher.save(tmp_path / "teacher.keras")
    test, (kernel, bias) = kd.data.load("digits", "test"), teacher.get_weights()
    images = (test.images.astype("float64") - 100).reshape(len(test.images), -1)
    predictions = (images @ kernel + bias).argmax(-1)
    options = ["--teacher", tmp_path / "teacher.keras", "--teacher-outputs", "probabilities"]
    options += ["--teacher-value-range", "0,255", "--teacher-mean", "100"]
    assert train(*SHORTEST, *options, "--output-dir", tmp_path / "run") == 0
    summary = summary_of(tmp_path / "run")
    np.testing.assert_allclose(summary["teacher"]["accuracy"], (predictions == test.labels).mean(), atol=1e-6)
    printed = capsys.readouterr()
    assert f"{summary['teacher']['accuracy']:.1%} on the test split" in printed.out
    assert printed.err.count("random predictions would be (10.0% with 10 classes)") == 1
    assert "another range (`--teacher-value-range 0,255`)" in printed.err


def test_a_convnet_that_was_fine_tuned_and_interrupted_teaches(tmp_path, monkeypatch, capsys):
    """The resumed convnet is that of an uninterrupted run, its moving statistics included; a student takes its run."""
    tiny = dataclasses.replace(variants.VARIANTS["regnety_002"], arguments=TINY)
    monkeypatch.setitem(variants.VARIANTS, "regnety_002", tiny)
    options = ["--variant", "regnety_002", "--recipe", "transfer_convnet", "--crop-ratio", "1", *ON_ONE_DEVICE]
    options += ["--epochs", "2", "--steps-per-epoch", "1", "--batch-size", "8", "--checkpoint-every", "1"]
    assert train(*options, "--output-dir", tmp_path / "whole") == 0
    printed = capsys.readouterr()
    assert ["On", "the", "test", "split", "convnet"] in [line.split() for line in printed.out.splitlines()]
    assert "Train it for more --epochs, or start from published --weights." in printed.err

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(BestEpoch, "on_epoch_end", stop)
        with pytest.raises(ZeroDivisionError):
            train(*options, "--output-dir", tmp_path / "teacher")
    assert train("--output-dir", tmp_path / "teacher", "--resume") == 0
    for ours, theirs in zip(weights_of(tmp_path / "teacher"), weights_of(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    assert train(*SHORTEST, "--teacher", tmp_path / "teacher", "--output-dir", tmp_path / "run") == 0
    teacher, digits = student_of(tmp_path / "teacher"), kd.data.load("digits", "test")
    assert teacher.class_names == digits.class_names
    images = ((digits.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
    accuracy = (teacher.predict(images, verbose=0).argmax(-1) == digits.labels).mean()
    assert summary_of(tmp_path / "teacher")["student"]["accuracy"] == pytest.approx(accuracy)
    assert summary_of(tmp_path / "run")["teacher"]["accuracy"] == pytest.approx(accuracy)
