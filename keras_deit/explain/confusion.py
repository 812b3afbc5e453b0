"""A confusion matrix as an image file."""

import warnings

import numpy as np

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.html_page import MISSING_GLYPH, printable
from keras_deit.runtime.optional import require

MAX_NAMED = 60  # classes of the dataset whose names are drawn
MAX_COUNTED = 25  # classes of the dataset whose counts are drawn
LONGEST = 24  # characters of a name
CELL_INCHES, MARGIN_INCHES = 0.34, 2.2
MIN_CELLS = 4  # along a side: smaller matrices get a figure of this size, so that the texts fit


def draw_confusion(confusion, class_names, predicted_names, path):
    """Draws a confusion matrix: the colour of a cell is the fraction of the images of its row.

    Args:
        confusion: Integer array `(classes, predictions)`: rows are the true classes, columns the predicted ones.
        class_names, predicted_names: Names of the rows and of the columns. For up to 60 classes the names are drawn, for
            more classes their indices. For up to 25 classes the counts are drawn in the cells.
        path: The image file to write, for example a `.png` file. If drawing fails, an existing file stays as it was.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> names = ("cat", "dog")
    >>> draw_confusion(np.array([[9, 1], [0, 5]]), names, names, f"{directory.name}/confusion.png").name
    'confusion.png'
    """
    figure = confusion_figure(confusion, class_names, predicted_names)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", MISSING_GLYPH)
        figure.savefig(temporary, dpi=120)
    return user_path(path)


def confusion_figure(confusion, class_names, predicted_names):
    """Draws a confusion matrix into a figure.

    Args:
        confusion, class_names, predicted_names: See `draw_confusion`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the confusion matrix")
    num_classes = len(class_names)
    side = MARGIN_INCHES + CELL_INCHES * min(max(num_classes, MIN_CELLS), MAX_NAMED)
    figure = figures.Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("fraction of the images of the class", fontsize=8)
    axes.set(xlabel="predicted class", ylabel="true class")
    if num_classes <= MAX_NAMED:
        _name(axes.set_xticks, predicted_names, rotation=90)
        _name(axes.set_yticks, class_names)
    if num_classes <= MAX_COUNTED:
        _draw_counts(axes, confusion, shares)
    return figure


def _name(set_ticks, names, **style):
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in map(printable, names)]
    set_ticks(range(len(names)), short, fontsize=7, parse_math=False, **style)


def _draw_counts(axes, confusion, shares):
    for row, column in zip(*np.nonzero(confusion), strict=True):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{confusion[row, column]}", ha="center", va="center", fontsize=6.5, color=color)
