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
from keras_deit.models.variants import VARIANTS

for package in ("sklearn", "matplotlib", "tomli_w", "tqdm"):
    pytest.importorskip(package, reason=f"the main job needs {package}")

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "train.py"
SHORT = ["--variant", "deit_short", "--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "8"]

# Two blocks of 12·192² + 13·192; the patches' 4·4·3·192 + 192; two tokens and six positions; the norm; two heads of ten.
PARAMETERS = 2 * (12 * 192**2 + 13 * 192) + (48 * 192 + 192) + 8 * 192 + 2 * 192 + 2 * (192 * 10 + 10)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A fresh directory for Keras, where the teacher is kept between the tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _short_runs(home, monkeypatch):
    """A DeiT-Ti of two blocks instead of twelve: what is compiled is what takes the time."""
    monkeypatch.setenv("KERAS_HOME", str(home))
    short = dataclasses.replace(VARIANTS["deit_ti"], arguments={**VARIANTS["deit_ti"].arguments, "num_layers": 2})
    monkeypatch.setitem(VARIANTS, "deit_short", short)


def train(*arguments):
    return main(["train", *map(str, arguments)])


def test_a_whole_run_has_teacher_student_and_summary(tmp_path, capsys):
    assert train(*SHORT, "--output-dir", tmp_path / "run", "--compare") == 0
    printed = capsys.readouterr().out
    assert f"Student: deit_short with {PARAMETERS:,} parameters" in printed
    assert "student: epoch 2/2" in printed
    assert "without a teacher: epoch 2/2" in printed
    names = {path.name for path in (tmp_path / "run").iterdir()}
    expected = {"config.toml", "history.csv", "curves.png", "student.keras", "student.weights.h5", "summary.json"}
    assert names == expected | {"without_teacher"}

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["complete"]
    assert summary["teacher"]["accuracy"] >= 0.98
    assert summary["parameters"] == PARAMETERS
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


def test_the_largest_variant_of_deit_runs_as_a_script(home, tmp_path):
    command = [sys.executable, SCRIPT, "--variant", "deit_b", "--epochs", "1", "--steps-per-epoch", "2"]
    result = subprocess.run([*command, "--output-dir", tmp_path / "run"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Done." in result.stdout
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 1


def test_its_configuration_repeats_a_run_exactly(tmp_path):
    assert train(*SHORT, "--seed", 3, "--distillation", "soft", "--output-dir", tmp_path / "one") == 0
    assert train("--config", tmp_path / "one" / "config.toml", "--output-dir", tmp_path / "two") == 0
    assert (tmp_path / "one" / "config.toml").read_text() == (tmp_path / "two" / "config.toml").read_text()
    one, two = (json.loads((tmp_path / name / "summary.json").read_text())["student"] for name in ("one", "two"))
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-4)


def test_without_distillation_the_labels_alone_teach(tmp_path):
    assert train(*SHORT, "--distillation", "none", "--output-dir", tmp_path / "run") == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["teacher"]["accuracy"] is None
    assert set(keras.saving.load_model(tmp_path / "run" / "student.keras").output) == {"class"}


def test_a_given_teacher_with_its_own_normalisation(tmp_path):
    convnet = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    convnet.save(tmp_path / "teacher.keras")
    options = [
        "--teacher",
        tmp_path / "teacher.keras",
        "--teacher-outputs",
        "probabilities",
        "--teacher-image-size",
        16,
    ]
    assert train(*SHORT, *options, "--teacher-value-range", "0,255", "--output-dir", tmp_path / "run") == 0


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no replicas on PyTorch")
def test_replicas_share_the_batch(home, tmp_path):
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}[keras.backend.backend()]
    assert train(*SHORT, "--strategy", strategy, "--output-dir", tmp_path / "run") == 0
    assert train(*SHORT, "--output-dir", tmp_path / "one") == 0
    runs = (json.loads((tmp_path / name / "summary.json").read_text())["student"] for name in ("run", "one"))
    two, one = (np.array([results[name] for name in ("loss", "class_loss", "accuracy")]) for results in runs)
    np.testing.assert_allclose(two, one, rtol=1e-2)


def test_a_dry_run_keeps_nothing(tmp_path, capsys):
    assert train(*SHORT, "--dry-run", "--output-dir", tmp_path / "run") == 0
    printed = capsys.readouterr().out
    assert f"Parameters: {PARAMETERS:,}" in printed
    assert "2 an epoch, 4 in all" in printed
    assert "GiB" in printed
    assert not (tmp_path / "run").exists()


def test_ctrl_c_leaves_a_usable_student_and_the_run_goes_on_from_there(home, tmp_path):
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
    assert "--resume" in printed
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert all(np.isfinite(weight).all() for weight in student.get_weights())
    state = json.loads((tmp_path / "run" / "checkpoint.json").read_text())
    assert 2 <= state["epoch"] < 500

    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("epochs = 500", f"epochs = {state['epoch'] + 1}", 1))
    assert train("--output-dir", tmp_path / "run", "--resume") == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == state["epoch"] + 1
    assert not (tmp_path / "run" / "checkpoint.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "deit_tinny"], "nearest names are deit_tiny"),
        ([], "Which variant"),
        ([*SHORT, "--image-size", "9", "--patch-size", "2"], "patch must divide"),
        ([*SHORT, "--dataset", "imagenet2012"], "still to come"),
        ([*SHORT, "--recipe", "deit3_1k"], "still to come"),
        ([*SHORT, "--teacher", "no/such.keras"], "no such file"),
        ([*SHORT, "--resume"], "Which one?"),
        ([*SHORT, "--export", "onnx"], "onnx"),
        ([*SHORT, "--data-dir", "."], "still to come"),
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
    assert main(["predict", "cat.jpg"]) == 2
    assert "still to come" in capsys.readouterr().err
