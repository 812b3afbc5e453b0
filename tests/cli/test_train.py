"""The main job, as a user runs it."""

import csv
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import main
from keras_deit.export import report
from keras_deit.training import images as images_of_runs
from keras_deit.training import output
from keras_deit.training.history import History
from tests.cli.runs import SHORT, replicas_of, summary_of, train
from tests.export.students import needs_litert
from tests.loopback import pretend_hub, serving

for package in ("filelock", "sklearn", "matplotlib", "tomli_w", "tqdm"):
    pytest.importorskip(package, reason=f"the main job needs {package}")
pytestmark = pytest.mark.usefixtures("short_runs")

BACKEND = keras.backend.backend()
SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "train.py"

# Two blocks of 12·192² + 13·192; the patches' 4·4·3·192 + 192; two tokens and six positions; the norm; two heads of ten.
PARAMETERS = 2 * (12 * 192**2 + 13 * 192) + (48 * 192 + 192) + 8 * 192 + 2 * 192 + 2 * (192 * 10 + 10)


def test_a_whole_run_has_teacher_student_and_summary(tmp_path, capsys):
    assert train(*SHORT, "--output-dir", tmp_path / "run", "--compare") == 0
    printed = capsys.readouterr().out
    assert f"Student: deit_short with {PARAMETERS:,} parameters" in printed
    assert "student: epoch 2/2" in printed
    assert "without a teacher: epoch 2/2" in printed
    names = {path.name for path in (tmp_path / "run").iterdir()}
    expected = {"config.toml", "history.csv", "curves.png", "student.keras", "student.weights.h5", "summary.json"}
    assert names == expected | {"without_teacher"}

    summary = summary_of(tmp_path / "run")
    assert summary["complete"]
    assert summary["teacher"]["accuracy"] >= 0.98
    assert summary["parameters"] == PARAMETERS
    assert {name: summary["settings"][name] for name in ("variant", "image_size", "patch_size", "alpha")} == {
        "variant": "deit_short",
        "image_size": [8, 8],
        "patch_size": 4,
        "alpha": 0.5,
    }
    assert {"accuracy", "class_accuracy", "distillation_accuracy", "teacher_accuracy"} <= set(summary["student"])
    assert set(summary["without_teacher"]) == {"accuracy", "loss"}
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    np.testing.assert_allclose(float(last["val_accuracy"]), summary["student"]["accuracy"])

    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    test = kd.data.load("digits", "test")
    images = (test.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD
    logits = student.predict(images, verbose=0)
    fused = (logits["class"] + logits["distillation"]) / 2
    np.testing.assert_allclose((fused.argmax(-1) == test.labels).mean(), summary["student"]["accuracy"], atol=1e-6)


def test_the_largest_variant_of_deit_runs_as_a_script(tmp_path):
    command = [sys.executable, SCRIPT, "--variant", "deit_b", "--epochs", "1", "--steps-per-epoch", "2"]
    result = subprocess.run([*command, "--output-dir", tmp_path / "run"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Done." in result.stdout
    assert summary_of(tmp_path / "run")["epochs"] == 1


def test_its_configuration_repeats_a_run_exactly(uninterrupted, tmp_path):
    assert train("--config", uninterrupted / "config.toml", "--output-dir", tmp_path / "two") == 0
    assert (uninterrupted / "config.toml").read_text() == (tmp_path / "two" / "config.toml").read_text()
    one, two = (summary_of(directory)["student"] for directory in (uninterrupted, tmp_path / "two"))
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-4)


def test_without_distillation_the_labels_alone_teach(tmp_path):
    assert train(*SHORT, "--distillation", "none", "--output-dir", tmp_path / "run") == 0
    summary = summary_of(tmp_path / "run")
    assert summary["teacher"]["accuracy"] is None
    assert set(keras.saving.load_model(tmp_path / "run" / "student.keras").output) == {"class"}


def test_a_published_convnet_teaches(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="it is downloaded")
    convnet = kd.RegNetY.from_variant("regnety_002")
    file = kd.weights.to_timm(convnet, tmp_path / "model.safetensors")
    digits = dataclasses.replace(kd.data.load("digits", "test"), class_names=tuple(map(str, range(1000))))
    monkeypatch.setattr(images_of_runs, "load", lambda *_: digits)
    with serving() as server:
        pretend_hub(monkeypatch, server.url)
        server.add_to_hub("timm/regnety_002.pycls_in1k", file.read_bytes())
        options = ["--dataset", "thousand", "--teacher", "regnety_002", "--output-dir", tmp_path / "run"]
        assert train(*SHORT, *options) == 0
    images = (digits.images / 255 - np.array(kd.IMAGENET_MEAN)) / np.array(kd.IMAGENET_STD)
    answers = convnet.predict(images.astype("float32"), verbose=0).argmax(axis=-1)
    np.testing.assert_allclose(
        summary_of(tmp_path / "run")["teacher"]["accuracy"], (answers == digits.labels).mean(), atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "as_the_teacher_wants"),
    [
        ([], lambda pixels: (pixels / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD),
        (["--teacher-value-range", "0,255", "--teacher-mean", "100"], lambda pixels: pixels - 100.0),
    ],
    ids=["normalised as the student's", "pixels less 100"],
)
def test_a_given_teacher_sees_what_it_was_trained_on(options, as_the_teacher_wants, tmp_path, capsys):
    teacher = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    teacher.save(tmp_path / "teacher.keras")
    test, (kernel, bias) = kd.data.load("digits", "test"), teacher.get_weights()
    answers = (
        as_the_teacher_wants(test.images.astype("float64")).reshape(len(test.images), -1) @ kernel + bias
    ).argmax(-1)
    options = ["--teacher", tmp_path / "teacher.keras", "--teacher-outputs", "probabilities", *options]
    assert train(*SHORT, *options, "--output-dir", tmp_path / "run") == 0
    summary = summary_of(tmp_path / "run")
    np.testing.assert_allclose(summary["teacher"]["accuracy"], (answers == test.labels).mean(), atol=1e-6)
    assert f"{summary['teacher']['accuracy']:.1%} on the test part" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", ["none", "mirrored", "data_parallel"])
def test_an_interrupted_run_goes_on_to_the_same_student_on_every_strategy(
    strategy, uninterrupted, tmp_path, monkeypatch
):
    if {"none": BACKEND, "mirrored": "tensorflow", "data_parallel": "jax"}[strategy] != BACKEND:
        pytest.skip("a strategy of another backend")
    replicas, begin = [], History.on_epoch_begin

    def spy(self, epoch, logs=None):
        replicas.append(replicas_of(self.model))
        begin(self, epoch, logs)

    monkeypatch.setattr(History, "on_epoch_begin", spy)
    options = [*SHORT, "--strategy", strategy, "--output-dir", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_begin", interrupt_in_the_second_epoch)
        assert train(*options) == 130
    cut = summary_of(tmp_path / "run")
    assert (cut["complete"], cut["epochs"]) == (False, 1)
    assert json.loads((tmp_path / "run" / "checkpoint.json").read_text())["epoch"] == 1
    assert train("--output-dir", tmp_path / "run", "--resume") == 0
    assert replicas == [1 if strategy == "none" else 2] * 3
    assert not (tmp_path / "run" / "checkpoint.json").exists()
    resumed, expected = summary_of(tmp_path / "run"), summary_of(uninterrupted)
    assert resumed["epochs"] == expected["epochs"] == 2
    for name, value in expected["student"].items():
        np.testing.assert_allclose(resumed["student"][name], value, rtol=1e-4 if name.endswith("loss") else 1e-2)


def interrupt_in_the_second_epoch(self, batch, logs=None):
    if self.last_epoch == 1 and batch == 0:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no replicas on PyTorch")
@pytest.mark.parametrize("options", [["--compare"], ["--dry-run"]], ids=["compare", "dry run"])
def test_what_is_built_twice_is_built_on_the_replicas(options, tmp_path):
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}[BACKEND]
    assert train(*SHORT, *options, "--strategy", strategy, "--output-dir", tmp_path / "run") == 0


def test_a_dry_run_keeps_nothing(tmp_path, capsys):
    assert train(*SHORT, "--dry-run", "--output-dir", tmp_path / "run") == 0
    printed = capsys.readouterr().out
    assert f"Parameters: {PARAMETERS:,}" in printed
    assert "2 an epoch, 4 in all" in printed
    assert "GiB" in printed
    assert not (tmp_path / "run").exists()


def test_ctrl_c_leaves_a_usable_student_and_says_where_it_is(tmp_path):
    arguments = ["--variant", "deit_ti", "--epochs", "500", "--steps-per-epoch", "2", "--batch-size", "8"]
    arguments += ["--output-dir", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-u", SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    for line in process.stdout:
        if line.startswith("student: epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    printed = process.stdout.read()
    assert process.wait(timeout=120) == 130
    assert "Interrupted" in printed
    assert str(tmp_path / "run" / "student.keras") in printed
    assert f"KERAS_BACKEND={BACKEND} python scripts/train.py --output-dir {tmp_path / 'run'} --resume" in printed
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert all(np.isfinite(weight).all() for weight in student.get_weights())
    assert 2 <= json.loads((tmp_path / "run" / "checkpoint.json").read_text())["epoch"] < 500


def test_a_second_ctrl_c_ends_at_once_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def twice(self, batch, logs=None):
        interrupt_in_the_second_epoch(self, batch)
        interrupt_in_the_second_epoch(self, batch)

    monkeypatch.setattr(History, "on_train_batch_begin", twice)
    assert train(*SHORT, "--output-dir", tmp_path / "run") == 130
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "run" / ".lock").exists()


def test_two_runs_do_not_share_a_directory(tmp_path, capsys):
    with output.held(tmp_path / "run"):
        assert train(*SHORT, "--output-dir", tmp_path / "run") == 2
    assert "Another run is at work" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@needs_litert
def test_exports_are_written_and_compared(tmp_path, capsys):
    assert train(*SHORT, "--export", "saved_model,litert", "--output-dir", tmp_path / "run") == 0
    exports = summary_of(tmp_path / "run")["exports"]
    assert [report["format"] for report in exports] == ["saved_model", "litert"]
    assert all(report["agrees"] and 0 <= report["largest_difference"] < 1e-4 for report in exports)
    assert capsys.readouterr().out.count("differ by at most") == 2


@needs_litert
def test_an_export_that_answers_otherwise_is_a_failure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "run_litert", lambda path, images: np.full((len(images), 10), np.nan, "float32"))
    assert train(*SHORT, "--export", "litert", "--output-dir", tmp_path / "run") == 1
    assert "do not use this export" in capsys.readouterr().out
    (written,) = summary_of(tmp_path / "run")["exports"]
    assert (written["agrees"], written["largest_difference"]) == (False, None)


def test_mixed_precision_trains(tmp_path):
    assert train(*SHORT, "--precision", "bfloat16", "--distillation", "soft", "--output-dir", tmp_path / "run") == 0
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert student.dtype_policy.name == "mixed_bfloat16"
    assert {weight.dtype for weight in student.get_weights()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "deit_tinny"], "nearest names are deit_tiny"),
        ([], "Which variant"),
        ([*SHORT, "--image-size", "9", "--patch-size", "2"], "patch must divide"),
        ([*SHORT, "--dataset", "imagenet2012"], "Which teacher?"),
        ([*SHORT, "--dataset", "no/such/one", "--distillation", "none"], "There is no dataset at 'no/such/one'"),
        ([*SHORT, "--mixup", "0.8", "--batch-size", "7"], "its size must be even"),
        ([*SHORT, "--auto-augment", "rand-m9"], "`auto_augment` must be"),
        ([*SHORT, "--distillation", "none", "--teacher-cache", "x"], "`teacher_cache` is about a teacher"),
        ([*SHORT, "--skip-images", "ugly"], "`skip_images` must only contain"),
        ([*SHORT, "--recipe", "deit3_1k"], "no published `learning_rate`"),
        ([*SHORT, "--teacher", "no/such.keras"], "There is no file 'no/such.keras'"),
        ([*SHORT, "--teacher", "no/such.safetensors"], "There is no file"),
        ([*SHORT, "--teacher", "regnety_16"], "The nearest presets are regnety_160"),
        ([*SHORT, "--teacher", "regnety_160"], "knows the 1,000 classes of ImageNet, and the dataset 'digits' has 10"),
        ([*SHORT, "--resume"], "Which one?"),
        ([*SHORT, "--export", "onnx"], "onnx"),
        ([*SHORT, "--alpha", "2"], "`alpha` must be at least 0 and at most 1"),
        ([*SHORT, "--attention-weight", "1"], "needs a transformer teacher"),
        ([*SHORT, "--batch-size", "2000"], "cannot be drawn from the 1433"),
        ([*SHORT, "--teacher-std", "0"], "`teacher_std` must be positive"),
        ([*SHORT, "--resume", "--config", "x.toml"], "Which one?"),
    ],
)
def test_bad_input_gets_one_line_that_says_what_to_do(tmp_path, capsys, arguments, message):
    where = [] if "--resume" in arguments else ["--output-dir", tmp_path / "run"]
    assert train(*arguments, *where) == 2
    error = capsys.readouterr().err
    assert "keras-deit train: error:" in error
    assert message in error
    assert not (tmp_path / "run").exists()


def test_what_is_to_come_says_so(capsys):
    assert main(["evaluate", "cat.jpg"]) == 2
    assert "still to come" in capsys.readouterr().err


def test_a_published_recipe_trains_and_its_average_is_evaluated_beside_the_weights(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text('optimizer = "lamb"\nclip_norm = 1.0\nloss = "binary_cross_entropy"\nema_decay = 0.5\n')
    assert train(*SHORT, "--config", config, "--distillation", "none", "--output-dir", tmp_path / "run") == 0
    assert "average" in capsys.readouterr().out
    summary = summary_of(tmp_path / "run")
    assert summary["student_average"] != summary["student"]
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    raw = [value.copy() for value in student.get_weights()]
    student.load_weights(tmp_path / "run" / "student_average.weights.h5")
    assert any(np.any(value != average) for value, average in zip(raw, student.get_weights(), strict=True))


def test_training_begins_with_the_weights_of_an_earlier_run(uninterrupted, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    options = ["--weights", uninterrupted / "student.keras", "--image-size", "16", "--learning-rate", "1e-12"]
    assert train(*SHORT, *options, "--weight-decay", "0", "--output-dir", tmp_path / "run") == 0
    begun, gone_on = (
        keras.saving.load_model(directory / "student.keras", compile=False)
        for directory in (uninterrupted, tmp_path / "run")
    )
    assert gone_on.image_size == (16, 16)
    for one, other in zip(gone_on.trainable_variables, begun.trainable_variables, strict=True):
        if one.shape == other.shape:  # all but the positions; the warm-up begins at a rate of 1e-6
            np.testing.assert_allclose(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), atol=1e-4)
