"""The figures of an evaluation, as text and as files."""

import csv
import dataclasses
import json

import numpy as np

from keras_deit.evaluation.figures import precision_and_recall
from keras_deit.explain.confusion import draw_confusion
from keras_deit.runtime.files import replacing, user_path, write_whole

MAX_LISTED = 20  # classes that are listed one by one
LOWEST = 10  # of more classes, those of the lowest recall
METRICS = {"accuracy": "accuracy", "top5_accuracy": "top-5"}  # of every head, and their headings
OTHERS = "other classes"
HEADS = {"": "fused", "class_": "class head", "distillation_": "distillation head", "teacher_": "teacher"}


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An image whose class was not predicted.

    Attributes:
        image: Path of the file, or index and dataset.
        true, predicted: Names of the classes.
        probability: Probability of the predicted class.
    """

    image: str
    true: str
    predicted: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The figures of a classifier on labelled images. `print` shows them as a table.

    Attributes:
        dataset: Name of the dataset.
        num_images: Number of labelled images.
        num_unlabelled: Number of images without a label, which are left out.
        accuracies: Dictionary of numbers in 0..1: `accuracy`, with the heads fused, and for two heads also `class_accuracy`
            and `distillation_accuracy`. For more than 5 classes also the fractions of images whose class is among the five
            most probable ones: `top5_accuracy`, `class_top5_accuracy` and `distillation_top5_accuracy`. With the report of a
            run, also the accuracies of its teacher, `teacher_accuracy` and `teacher_top5_accuracy`.
        class_names: Tuple of the names of the dataset's classes.
        confusion: Integer array `(classes, classes)`, the confusion matrix: rows are the true classes, columns the predicted
            ones. If the model has classes that the dataset lacks, the last column counts the predictions of these.
        mistakes: Tuple of every `Mistake`, the most confident one first.
        preparation: Dictionary of how the images were prepared: the arguments of `keras_deit.ImageProcessor`.
        note: Sentences about assumptions, for example that the classes of the model are those of the dataset in the same
            order; None if there are none.
    """

    dataset: str
    num_images: int
    num_unlabelled: int
    accuracies: dict
    class_names: tuple
    confusion: np.ndarray
    mistakes: tuple
    preparation: dict
    note: str | None = None

    @property
    def predicted_names(self):
        """Names of the columns of `confusion`."""
        has_others = self.confusion.shape[1] > len(self.class_names)
        return (*self.class_names, OTHERS) if has_others else self.class_names

    @property
    def classes(self):
        """List of a dictionary for each class, with `class`, `images`, `precision` and `recall` (in 0..1, or None)."""
        precision, recall = precision_and_recall(self.confusion)
        rows = zip(self.class_names, self.confusion.sum(axis=1).tolist(), precision, recall, strict=True)
        return [dict(zip(("class", "images", "precision", "recall"), row, strict=True)) for row in rows]

    def __str__(self):
        return self.describe()

    def describe(self, max_mistakes=10):
        """Describes the figures as text of several lines.

        Args:
            max_mistakes: Number of mistakes that are listed.

        Returns:
            A string.
        """
        lines = [self._images(), *([self.note] if self.note else []), "", *self._accuracies(), "", *self._classes()]
        if self.mistakes and max_mistakes:
            lines += ["", f"The most confident of {len(self.mistakes):,} mistakes:"]
            lines += [_line(mistake) for mistake in self.mistakes[:max_mistakes]]
        return "\n".join(lines)

    def write(self, directory, **further):
        """Writes `evaluation.json`, `confusion.csv`, `confusion.png` and `mistakes.csv`. Earlier files are replaced.

        Args:
            directory: Path of the directory; it is made if it does not exist.
            **further: Further entries of `evaluation.json`.

        Returns:
            The `pathlib.Path` of the directory.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        directory = user_path(directory)
        of_dataset = {"dataset": self.dataset, "images": self.num_images, "unlabelled": self.num_unlabelled}
        entries = {**further, **of_dataset, **self.preparation, **self.accuracies, "classes": self.classes}
        write_whole(directory / "evaluation.json", json.dumps({**entries, "note": self.note}, indent=2) + "\n")
        rows = ([name, *counts] for name, counts in zip(self.class_names, self.confusion.tolist(), strict=True))
        _write_table(directory / "confusion.csv", ["true class", *self.predicted_names], rows)
        fields = [field.name for field in dataclasses.fields(Mistake)]
        _write_table(directory / "mistakes.csv", fields, map(dataclasses.astuple, self.mistakes))
        draw_confusion(self.confusion, self.class_names, self.predicted_names, directory / "confusion.png")
        return directory

    def _images(self):
        unlabelled = f"; {self.num_unlabelled:,} without a label are left out" if self.num_unlabelled else ""
        height, width = self.preparation["image_size"]
        return (
            f"{self.dataset}: {self.num_images:,} images of {len(self.class_names):,} classes{unlabelled}, prepared as "
            f"{height}×{width} pixels with a crop ratio of {self.preparation['crop_ratio']:g}"
        )

    def _accuracies(self):
        metrics = [name for name in METRICS if name in self.accuracies]
        prefixes = [prefix for prefix in HEADS if f"{prefix}accuracy" in self.accuracies]
        labels = HEADS if "class_accuracy" in self.accuracies else {**HEADS, "": "model"}
        yield " " * 20 + "".join(f"{METRICS[name]:>12}" for name in metrics)
        for prefix in prefixes:
            yield f"  {labels[prefix]:<18}" + "".join(f"{self.accuracies[prefix + name]:>12.2%}" for name in metrics)

    def _classes(self):
        rows = self.classes
        if len(rows) > MAX_LISTED:
            with_images = [row for row in rows if row["images"]]
            rows = sorted(with_images, key=lambda row: row["recall"])[:LOWEST]
            yield f"The {len(rows)} classes of the lowest recall:"
        cells = [[row["class"], f"{row['images']:,}", _share(row["precision"]), _share(row["recall"])] for row in rows]
        cells.insert(0, ["class", "images", "precision", "recall"])
        width = max(len(row[0]) for row in cells)
        for name, *numbers in cells:
            yield f"  {name:<{width}}" + "".join(f"{number:>11}" for number in numbers)


def _share(value):
    return "none" if value is None else f"{value:.2%}"


def _line(mistake):
    return f"  {mistake.probability:6.1%}  {mistake.image}: {mistake.true}, predicted as {mistake.predicted}"


def _write_table(path, header, rows):
    """Writes a CSV file. Names that are not in UTF-8 are written as on the terminal."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
