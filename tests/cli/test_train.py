"""Whole runs of `keras-deit train`, and the input that it refuses."""

import csv
import dataclasses
import re
import shutil

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import report
from keras_deit.models.variants import VARIANTS
from keras_deit.training import loop
from tests.export.students import IN_PROCESS_FORMATS, needs_litert
from tests.runs import SHORT, SHORTEST, need_run_packages, student_of, summary_of, train

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")

BACKEND = keras.backend.backend()


def count_parameters(width, blocks):
    """Number of parameters of a DeiT for the digits, with patches of 4×4 pixels."""
    block = 12 * width**2 + 13 * width
    patch_embedding, tokens_and_positions, norm = 4 * 4 * 3 * width + width, (2 + 6) * width, 2 * width
    return blocks * block + patch_embedding + tokens_and_positions + norm + 2 * (width * 10 + 10)


PARAMETERS = count_parameters(width=192, blocks=1)


def test_a_whole_run_has_teacher_student_and_summary(whole_run):
    directory = whole_run.directory
    assert f"Student: deit_short with {PARAMETERS:,} parameters" in whole_run.printed
    assert re.search(r", 2 epochs\. The time .* measured\. For ImageNet: --dataset imagenet2012", whole_run.printed)
    for title in ("student", "without a teacher"):
        figures = r"  [\d,]+ images/s  learning rate \S+  (GPU memory .* GiB  )?\d+ s left\n"
        assert re.search(rf"\n{title}: epoch 2/2  loss .*{figures}", whole_run.printed)
    assert "Done." in whole_run.printed
    names = {path.name for path in directory.iterdir()}
    files = {"config.toml", "history.csv", "curves.png", "student.keras", "student.weights.h5", "summary.json"}
    assert names == files | {"without_teacher"}

    summary = summary_of(directory)
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
    with open(directory / "history.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    np.testing.assert_allclose(float(last["val_accuracy"]), summary["student"]["accuracy"])

    student = keras.saving.load_model(directory / "student.keras")
    test = kd.data.load("digits", "test")
    images = (test.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD
    logits = student.predict(images, verbose=0)
    fused = (logits["class"] + logits["distillation"]) / 2
    np.testing.assert_allclose((fused.argmax(-1) == test.labels).mean(), summary["student"]["accuracy"], atol=1e-6)


@pytest.mark.skipif(not IN_PROCESS_FORMATS, reason="exporting needs the extra `export` or `onnx`")
def test_exports_are_written_and_compared(exporting_run):
    exports = summary_of(exporting_run.directory)["exports"]
    assert [report["format"] for report in exports] == IN_PROCESS_FORMATS
    assert all(report["agrees"] and 0 <= report["largest_difference"] < 1e-4 for report in exports)
    assert exporting_run.printed.count("differ by at most") == len(IN_PROCESS_FORMATS)


@pytest.mark.backend_independent
@needs_litert
def test_an_export_that_differs_from_the_student_is_a_failure(exporting_run, tmp_path, capsys, monkeypatch):
    def export(student, formats, directory, images, labels, calibration, overwrite):
        assert formats == ("litert",)
        shutil.copy(exporting_run.directory / "student.tflite", directory)  # a conversion would take seconds
        return [report.compare(student, directory / "student.tflite", images)]

    monkeypatch.setattr(loop, "export", export)
    nans = lambda exported, images: np.full((len(images), 10), np.nan, "float32")  # noqa: E731
    monkeypatch.setattr(report.ExportedModel, "predict_on_batch", nans)
    options = ["--distillation", "none", "--export", "litert", "--output-dir", tmp_path / "run"]
    assert train(*SHORTEST, *options) == 1
    assert "do not use this export" in capsys.readouterr().out
    (written,) = summary_of(tmp_path / "run")["exports"]
    assert (written["agrees"], written["largest_difference"]) == (False, None)


@pytest.mark.backend_independent
def test_the_largest_variant_of_deit_trains(tmp_path, monkeypatch, capsys):
    largest = VARIANTS["deit_b"]
    shallow = dataclasses.replace(largest, arguments={**largest.arguments, "num_layers": 1})
    monkeypatch.setitem(VARIANTS, "deit_b", shallow)  # its other blocks would be trained and saved for half a minute
    options = ["--epochs", "1", "--steps-per-epoch", "2", "--batch-size", "4", "--output-dir", tmp_path / "run"]
    assert train("--variant", "deit_b", *options) == 0
    assert "Done." in capsys.readouterr().out
    assert summary_of(tmp_path / "run")["epochs"] == 1


@pytest.mark.skipif(BACKEND != "torch", reason="other backends would compile the twelve blocks for half a minute")
def test_the_largest_variant_of_deit_takes_a_step_with_all_its_blocks(tmp_path, capsys):
    assert train("--variant", "deit_b", "--dry-run", "--batch-size", "4", "--output-dir", tmp_path / "run") == 0
    assert f"Parameters: {count_parameters(width=768, blocks=12):,}" in capsys.readouterr().out


def test_a_published_recipe_trains_on_labels_alone_and_its_average_is_evaluated_beside_the_weights(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text('optimizer = "lamb"\nclip_norm = 1.0\nloss = "binary_cross_entropy"\nema_decay = 0.5\n')
    assert train(*SHORT, "--config", config, "--distillation", "none", "--output-dir", tmp_path / "run") == 0
    assert "average" in capsys.readouterr().out
    summary = summary_of(tmp_path / "run")
    assert summary["teacher"]["accuracy"] is None
    assert summary["student_average"] != summary["student"]
    student = student_of(tmp_path / "run")
    assert set(student.output) == {"class"}
    raw = [value.copy() for value in student.get_weights()]
    student.load_weights(tmp_path / "run" / "student_average.weights.h5")
    assert any(np.any(value != average) for value, average in zip(raw, student.get_weights(), strict=True))


def test_mixed_precision_trains(tmp_path):
    assert train(*SHORTEST, "--precision", "bfloat16", "--distillation", "soft", "--output-dir", tmp_path / "run") == 0
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert student.dtype_policy.name == "mixed_bfloat16"
    assert {weight.dtype for weight in student.get_weights()} == {np.dtype("float32")}


@pytest.mark.backend_independent
def test_training_starts_from_the_weights_of_an_earlier_run(whole_run, tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    options = ["--weights", whole_run.directory, "--image-size", "16", "--learning-rate", "1e-12"]
    assert train(*SHORTEST, *options, "--weight-decay", "0", "--output-dir", tmp_path / "run") == 0
    earlier, later = student_of(whole_run.directory), student_of(tmp_path / "run")
    assert later.image_size == (16, 16)
    for one, other in zip(later.trainable_variables, earlier.trainable_variables, strict=True):
        if one.shape == other.shape:  # all but the positions; the warm-up begins at a rate of 1e-6
            np.testing.assert_allclose(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), atol=1e-4)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no replicas on PyTorch")
def test_a_dry_run_trains_on_the_replicas(tmp_path):
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}[BACKEND]
    assert train(*SHORT, "--dry-run", "--strategy", strategy, "--output-dir", tmp_path / "run") == 0


@pytest.mark.backend_independent
def test_a_dry_run_keeps_nothing(tmp_path, capsys):
    assert train(*SHORT, "--dry-run", "--output-dir", tmp_path / "run") == 0
    printed = capsys.readouterr().out
    assert f"Parameters: {PARAMETERS:,}" in printed
    assert "2 an epoch, 4 in all" in printed
    assert re.search(r"Time:       about \d+ s, if the images", printed)
    assert re.search(r"Memory:     [\d.,]+ [KMG]iB of memory at most so far", printed)
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "deit_tinny"], "Similar names: deit_tiny"),
        ([], "Which variant"),
        ([*SHORT, "--image-size", "9", "--patch-size", "2"], "patch must divide"),
        ([*SHORT, "--dataset", "imagenet2012"], "Distillation needs a teacher: pass --teacher"),
        ([*SHORT, "--dataset", "no/such/one", "--distillation", "none"], "There is no dataset at 'no/such/one'"),
        ([*SHORT, "--mixup", "0.8", "--batch-size", "7"], "Received: --batch-size 7"),
        ([*SHORT, "--auto-augment", "rand-m9"], "--auto-augment must be"),
        (
            [*SHORT, "--distillation", "none", "--teacher-cache", "x"],
            "because --distillation is none. Received: --teacher-cache x. To distil from the teacher, ",
        ),
        (
            [*SHORT, "--recipe", "transfer", "--teacher", "x.keras"],
            "because the recipe 'transfer' trains without a teacher. Received: --teacher x.keras. To distil",
        ),
        ([*SHORT, "--recipe", "transfer", "--teacher-value-range", "0,255"], "alone, pass --teacher-value-range none"),
        ([*SHORT, "--recipe", "transfer", "--compare"], "--compare needs a teacher, but the recipe 'transfer' trains"),
        ([*SHORT, "--skip-images", "ugly"], "--skip-images must only contain"),
        ([*SHORT, "--recipe", "deit3_1k"], "no published --learning-rate"),
        ([*SHORT, "--teacher", "no/such.keras"], "There is no file 'no/such.keras'"),
        ([*SHORT, "--teacher", "no/such.safetensors"], "There is no file"),
        ([*SHORT, "--teacher", "regnety_16"], "Similar presets: regnety_160"),
        ([*SHORT, "--teacher", "regnety_160"], "has the 1,000 classes of ImageNet, and the dataset 'digits' has 10"),
        ([*SHORT, "--resume"], "Pass --output-dir too"),
        ([*SHORT, "--export", "coreml"], "coreml"),
        ([*SHORT, "--alpha", "2"], "--alpha must be at least 0 and at most 1. Received: --alpha 2"),
        ([*SHORT, "--attention-weight", "1"], "needs a transformer"),
        (
            [*SHORT, "--batch-size", "2000"],
            "1433 images of the dataset. Received: --batch-size 2000. Pass at most 1433.",
        ),
        ([*SHORT, "--teacher-std", "0"], "--teacher-std must be positive"),
        ([*SHORT, "--resume", "--config", "x.toml"], "Pass --output-dir too"),
    ],
)
def test_bad_input_gets_one_line_that_says_what_to_do(tmp_path, capsys, arguments, message):
    directory = [] if "--resume" in arguments else ["--output-dir", tmp_path / "run"]
    assert train(*arguments, *directory) == 2
    error = capsys.readouterr().err
    assert "keras-deit train: error:" in error
    assert message in error
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_stops_with_the_student_of_the_last_finite_epoch(tmp_path, capsys):
    options = ["--distillation", "none", "--schedule", "epochs", "--epochs", "3"]  # the first epoch is one of warm-up
    assert train(*SHORT, *options, "--learning-rate", "1e30", "--output-dir", tmp_path / "run") == 1
    printed = capsys.readouterr()
    assert "of epoch 2, at a learning rate of " in printed.err
    assert "Received: --learning-rate 1e+30. Begin a new run with a lower learning rate" in printed.err
    assert str(tmp_path / "run" / "student.keras") in printed.err
    assert "Done." not in printed.out
    summary = summary_of(tmp_path / "run")
    assert (summary["complete"], summary["epochs"], summary["diverged"]["epoch"]) == (False, 1, 2)
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["val_accuracy"]) == pytest.approx(summary["student"]["accuracy"])
    student, test = student_of(tmp_path / "run"), kd.data.load("digits", "test")
    logits = student.predict((test.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD, verbose=0)["class"]
    np.testing.assert_allclose((logits.argmax(-1) == test.labels).mean(), summary["student"]["accuracy"], atol=1e-6)


@pytest.mark.backend_independent
def test_a_run_that_diverges_in_its_first_epoch_saves_no_student(tmp_path, capsys):
    options = ["--distillation", "none", "--epochs", "1", "--learning-rate", "1e30", "--warmup-epochs", "0"]
    assert train(*SHORT, *options, "--output-dir", tmp_path / "run") == 1
    assert "No student was saved." in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("student*"))
    assert summary_of(tmp_path / "run")["student"] is None


@pytest.mark.backend_independent
def test_a_finished_run_is_extended_as_the_error_about_resuming_says(whole_run, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    assert train("--resume", "--epochs", "4", "--output-dir", whole_run.directory) == 2
    error = capsys.readouterr().err
    way = ["--config", str(whole_run.directory / "config.toml"), "--weights", str(whole_run.directory)]
    assert f"begin a new run from its weights: {' '.join(way)} --epochs N" in error
    options = [*way, "--epochs", "1", "--steps-per-epoch", "1", "--learning-rate", "1e-12", "--weight-decay", "0"]
    assert train(*options, "--no-compare", "--output-dir", tmp_path / "more") == 0
    for one, other in zip(
        student_of(tmp_path / "more").get_weights(), student_of(whole_run.directory).get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.backend_independent
def test_ctrl_c_before_the_training_is_one_line(tmp_path, monkeypatch, capsys):
    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "announce", interrupt)
    assert train(*SHORTEST, "--distillation", "none", "--output-dir", tmp_path / "run") == 130
    assert capsys.readouterr().err.strip() == "Interrupted before the student's training began."
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_the_options_of_a_teacher_are_named_in_the_errors_about_it(tmp_path, capsys):
    for size, expected in ((16, "`--teacher-image-size 16`"), (8, "`--teacher-outputs probabilities`")):
        layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        keras.Sequential([keras.Input((size, size, 3)), *layers]).save(tmp_path / "teacher.keras")
        assert train(*SHORTEST, "--teacher", tmp_path / "teacher.keras", "--output-dir", tmp_path / "run") == 2
        error = capsys.readouterr().err
        assert expected in error
        assert "keras_deit." not in error
