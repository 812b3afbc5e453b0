"""The figures as text and as files."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from keras_deit.evaluation.evaluation import Evaluation, Mistake

pytestmark = pytest.mark.backend_independent

PREPARATION = {
    "image_size": (24, 32),
    "crop_ratio": 0.875,
    "interpolation": "bicubic",
    "squash": False,
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


def make(**changes):
    values = dict(
        dataset="pets",
        num_images=1234,
        num_unlabelled=0,
        accuracies={"accuracy": 0.75},
        class_names=("cat", "guinea pig"),
        confusion=np.array([[3, 1], [0, 0]]),
        mistakes=(Mistake("cat/1.jpg", "cat", "guinea pig", 0.987), Mistake("cat/2.jpg", "cat", "guinea pig", 0.5)),
        preparation=PREPARATION,
    )
    return Evaluation(**(values | changes))


def test_the_table_has_one_row_for_each_head_and_class():
    accuracies = {}
    for number, prefix in enumerate(("", "class_", "distillation_")):
        accuracies |= {f"{prefix}accuracy": 0.75 + number / 10, f"{prefix}top5_accuracy": 0.9 + number / 100}
    text = str(make(accuracies=accuracies, num_unlabelled=7, note="The classes."))
    assert text.splitlines() == [
        "pets: 1,234 images of 2 classes; 7 without a label are left out, prepared as 24×32 pixels with a crop ratio of "
        "0.875",
        "The classes.",
        "",
        "                        accuracy       top-5",
        "  fused                   75.00%      90.00%",
        "  class head              85.00%      91.00%",
        "  distillation head       95.00%      92.00%",
        "",
        "  class          images  precision     recall",
        "  cat                 4    100.00%     75.00%",
        "  guinea pig          0      0.00%       none",
        "",
        "The most confident of 2 mistakes:",
        "   98.7%  cat/1.jpg: cat, predicted as guinea pig",
        "   50.0%  cat/2.jpg: cat, predicted as guinea pig",
    ]


def test_one_head_has_one_row_and_mistakes_can_be_left_out():
    text = make().describe(max_mistakes=1)
    assert "  model                   75.00%\n" in text
    assert "top-5" not in text
    assert "cat/2.jpg" not in text
    assert "mistakes" not in make().describe(max_mistakes=0)
    assert "mistakes" not in str(make(mistakes=()))


def test_of_many_classes_those_of_the_lowest_recall_are_listed():
    names = tuple(f"class {index}" for index in range(30))
    confusion = np.diag(np.arange(30))
    confusion[:, 0] = 10
    confusion[0] = 0  # no image: no recall
    text = str(make(class_names=names, confusion=confusion))
    listed = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  class ")]
    assert listed[1:] == [f"class {index}" for index in range(1, 11)]
    assert "The 10 classes of the lowest recall:" in text


def test_the_files_hold_all_figures(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib draws the picture")
    name = b"caf\xe9, 2".decode("utf-8", "surrogateescape")
    confusion = np.array([[3, 1, 2], [0, 0, 0]])
    evaluation = make(
        class_names=("cat", name), confusion=confusion, accuracies={"accuracy": 0.5, "top5_accuracy": 1.0}
    )
    directory = evaluation.write(tmp_path / "new" / "figures", weights="runs/mine")
    files = {path.name for path in directory.iterdir()}
    assert files == {"evaluation.json", "confusion.csv", "confusion.png", "mistakes.csv"}
    written = json.loads((directory / "evaluation.json").read_text())
    assert written == {
        "weights": "runs/mine",
        "dataset": "pets",
        "images": 1234,
        "unlabelled": 0,
        **PREPARATION,
        "image_size": [24, 32],
        "accuracy": 0.5,
        "top5_accuracy": 1.0,
        "classes": [
            {"class": "cat", "images": 6, "precision": 1.0, "recall": 0.5},
            {"class": name, "images": 0, "precision": 0.0, "recall": None},
        ],
        "note": None,
    }
    with (directory / "confusion.csv").open(encoding="utf-8", newline="") as file:
        escaped = "caf\\udce9, 2"
        assert list(csv.reader(file)) == [
            ["true class", "cat", escaped, "other classes"],
            ["cat", "3", "1", "2"],
            [escaped, "0", "0", "0"],
        ]
    with (directory / "mistakes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row | {"probability": float(row["probability"])} for row in rows] == [
        dataclasses.asdict(mistake) for mistake in evaluation.mistakes
    ]
    assert evaluation.write(directory) == directory  # again
