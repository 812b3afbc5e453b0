"""`keras-deit evaluate`: the figures of a model on a dataset."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import main
from tests.data.images import encode, noise, write_folder
from tests.html_pages import Page
from tests.runs import LEARNING, add_short_variant, need_run_packages, summary_of, train

need_run_packages()

SHAPE = dict(image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2)
NAMES = ("bird", "cat", "dog")


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def figures(directory):
    return json.loads((directory / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A model of three classes whose predictions depend on the image."""
    model = kd.DeiT(num_classes=3, class_names=NAMES, preprocessing={"crop_ratio": 1.0, "squash": True}, **SHAPE)
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(16, 3)), np.zeros(3)])
    path = tmp_path_factory.mktemp("weights") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five images of each class, without splits; the first image of each class is the test split."""
    folder = tmp_path_factory.mktemp("data") / "pets"
    write_folder(folder, 5, bird=10, cat=100, dog=200)
    return folder


def test_the_accuracies_of_a_run_are_those_of_its_summary_to_the_digit(monkeypatch, tmp_path, home, capsys):
    """Of a run whose images were resized once, squashed and with another filter than the default one."""
    monkeypatch.setenv("KERAS_HOME", str(home))
    add_short_variant(monkeypatch)
    teacher = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    teacher.save(tmp_path / "teacher.keras")
    run = tmp_path / "run"
    assert train(*LEARNING, "--teacher", tmp_path / "teacher.keras", "--image-size", 12, "--output-dir", run) == 0
    summary = summary_of(run)["student"]
    assert f"Report: {run / 'report.html'}, written in " in capsys.readouterr().out
    written_at_end = (run / "report.html").read_text(encoding="utf-8")
    check_report(written_at_end, summary)
    _check_token_similarity(run)
    assert evaluate("--weights", run, "--dataset", "digits", "--output", run / "figures") == 0
    printed = capsys.readouterr()
    found = figures(run / "figures")
    assert printed.err == ""
    assert (found["images"], found["image_size"], found["split"]) == (364, [12, 12], "test")
    for name in ("accuracy", "class_accuracy", "distillation_accuracy"):
        assert np.float32(found[name]) == np.float32(summary[name])  # Keras computes in float32
    assert f"{summary['accuracy']:.2%}" in printed.out
    assert sum(row["images"] for row in found["classes"]) == 364
    with (run / "figures" / "mistakes.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == round(364 * (1 - found["accuracy"]))
    assert evaluate("--weights", run, "--report") == 0
    printed = capsys.readouterr()
    assert (printed.err, f"Report: {run / 'report.html'}" in printed.out) == ("", True)
    assert f"  teacher{summary['teacher_accuracy']:>23.2%}" in printed.out
    check_report((run / "report.html").read_text(encoding="utf-8"), summary)


def check_report(content, summary):
    """Checks the report of a distilled run on the digits."""
    page = Page(content)
    wanted = {
        "Results",
        "Curves",
        "Confusion matrix",
        "Most confident mistakes",
        "Disagreement",
        "Attention",
        "Settings",
    }
    assert wanted <= set(page.headings)
    mistakes = round(364 * (1 - summary["accuracy"]))
    assert f"Accuracy {summary['accuracy']:.2%} on 364 labelled test images." in page.text
    assert f"24 of {mistakes:,} mistakes" in page.text
    assert page.text.count("teacher: ") == 24
    agreement = f"teacher{1 - summary['teacher_agreement']:.2%}"  # the disagreement of the fused heads and the teacher
    assert agreement in page.text
    curves = [image["alt"].partition(" over ")[0] for image in page.images[:7]]
    assert curves == [
        "Loss",
        "Accuracy",
        "Agreement with the teacher",
        "Learning rate",
        "Throughput",
        "Waiting for data",
        "Similarity of the two tokens",
    ]
    assert sum(image["alt"].startswith("attention over ") for image in page.images) == 6
    assert len(content) < 2e6


def _check_token_similarity(run):
    """Compares the column of the last epoch with the trained student."""
    with (run / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    student, data = kd.pretrained(run), kd.data.load("digits", "test").evenly_spaced(32)
    images = student.image_processor()(np.stack([pixels for pixels, _ in data]))
    expected = kd.explain.token_similarity(student, images)[-1]
    np.testing.assert_allclose(float(row["token_similarity"]), expected, atol=1e-4)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "deit_tiny_patch16_224"], "must be the output directory of a run that has ended"),
        (["--weights", "RUN", "--split", "all"], "--report is about the test split. Received: --split all"),
    ],
)
def test_a_report_is_that_of_a_run_and_its_test_split(options, message, tmp_path, capsys):
    (tmp_path / "summary.json").touch()
    options = [tmp_path if option == "RUN" else option for option in options]
    assert evaluate(*options, "--report") == 2
    assert message in capsys.readouterr().err


def splits_of(split):
    return ("train", "test") if split == "all" else (split,)


def _paths_and_labels(folder, split):
    parts = [kd.data.load(folder, one) for one in splits_of(split)]
    return sum((part.paths for part in parts), ()), np.concatenate([part.labels for part in parts])


@pytest.mark.backend_independent
@pytest.mark.parametrize(("split", "number"), [("test", 3), ("train", 12), ("all", 15)])
def test_a_split_is_evaluated_as_the_model_classifies_its_files(split, number, weights, folder, tmp_path, capsys):
    assert evaluate("--weights", weights, "--dataset", folder, "--split", split, "--output", tmp_path / "out") == 0
    data = kd.data.ImageFiles("pets", *_paths_and_labels(folder, split), NAMES)
    model = kd.pretrained(weights, fused=True)
    logits = model.predict(model.image_processor()(list(data.paths)), verbose=0)
    found = figures(tmp_path / "out")
    assert found["images"] == number
    assert found["accuracy"] == np.mean(logits.argmax(-1) == data.labels)
    assert (found["squash"], found["crop_ratio"]) == (True, 1.0)
    assert {name: skipped["images"] for name, skipped in found["skipped"].items()} == dict.fromkeys(splits_of(split), 0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.json",
        "confusion.csv",
        "confusion.png",
        "mistakes.csv",
    }
    printed = capsys.readouterr().out
    assert f"pets: {number} images of 3 classes" in printed
    wrong = [path for path, row, label in zip(data.paths, logits, data.labels, strict=True) if row.argmax() != label]
    assert all(path in printed for path in wrong[:10])


@pytest.mark.backend_independent
def test_folders_of_splits_are_named_as_for_train(weights, folder, tmp_path, capsys):
    for name in ("first", "second", "third"):
        shutil.copytree(folder, tmp_path / "data" / name)
    (tmp_path / "data" / "third" / "cat" / "04.png").unlink()
    options = ["--dataset", tmp_path / "data", "--train-folder", "second", "--test-folder", "third"]
    assert evaluate("--weights", weights, *options) == 0
    assert "14 images of 3 classes" in capsys.readouterr().out


@pytest.mark.backend_independent
def test_unlabelled_and_unreadable_images_are_left_out_and_counted(weights, folder, tmp_path, capsys):
    rows = ["path,label,split", *(f"{folder}/{name}/00.png,{name},train" for name in NAMES)]
    rows += [f"{folder}/{name}/0{index}.png,{name},test" for name in NAMES for index in range(1, 5)]
    (tmp_path / "broken.png").write_bytes(encode(noise(40, 50, 3))[:100])
    rows += [f"{folder}/cat/00.png,,test", f"{tmp_path}/broken.png,dog,test"]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    options = ["--dataset", tmp_path / "table.csv", "--max-skipped", 0.1, "--output", tmp_path / "out"]
    assert evaluate("--weights", weights, *options) == 0
    printed = capsys.readouterr().out
    found = figures(tmp_path / "out")
    assert (found["images"], found["unlabelled"], found["skipped"]["test"]["images"]) == (12, 1, 1)
    assert "1 without a label are left out" in printed
    assert "broken.png: " in printed


@pytest.mark.backend_independent
def test_options_replace_the_record_and_the_help_of_train_names_them(weights, folder, tmp_path):
    options = ["--crop-ratio", 0.5, "--interpolation", "box", "--no-squash", "--mean", "0,0,0", "--std", "1,1,1"]
    assert evaluate("--weights", weights, "--dataset", folder, *options, "--output", tmp_path) == 0
    found = figures(tmp_path)
    expected = {"crop_ratio": 0.5, "interpolation": "box", "squash": False, "mean": [0, 0, 0], "std": [1, 1, 1]}
    assert {name: found[name] for name in expected} == expected


def test_the_bit_depth_of_a_record_does_not_keep_a_model_from_arrays(tmp_path, capsys):
    model = kd.DeiT(num_classes=3, class_names=NAMES, preprocessing={"bit_depth": 12}, **SHAPE)
    model.save(tmp_path / "model.keras")
    images, labels = np.stack([noise(16, 16, 3, seed=index) for index in range(15)]), np.arange(15) % 3
    np.savez(tmp_path / "arrays.npz", x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])
    assert evaluate("--weights", tmp_path / "model.keras", "--dataset", tmp_path / "arrays.npz") == 0
    assert "6 images of 3 classes" in capsys.readouterr().out


@pytest.mark.backend_independent
def test_convnets_and_other_keras_models_have_one_head(folder, tmp_path, capsys):
    convnet = kd.RegNetY(
        widths=(8,), depths=(1,), group_width=8, num_classes=3, class_names=NAMES, preprocessing={"image_size": 32}
    )
    other = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    for name, model, size in (("convnet", convnet, 32), ("other", other, 24)):
        model.save(tmp_path / f"{name}.keras")
        assert evaluate("--weights", tmp_path / f"{name}.keras", "--dataset", folder) == 0
        printed = capsys.readouterr().out
        assert f"prepared as {size}×{size} pixels" in printed
        assert "  model  " in printed
        assert ("have no class names" in printed) == (model is other)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mistakes", -1], "--mistakes must be at least 0. Received: --mistakes -1"),
        (["--dataset", "no/such/folder"], "There is no dataset at 'no/such/folder'"),
        (["--dataset", "digits"], "The classes of the dataset must be among those of the weights"),
        (["--output", __file__], "--output must be a directory. Received: the file"),
        (["--weights", "no/such/file.keras"], "There is no file"),
    ],
)
def test_bad_input_is_one_line(options, message, weights, folder, capsys):
    assert evaluate("--weights", weights, "--dataset", folder, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
