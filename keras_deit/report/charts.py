"""The plots of a run's report, drawn from the rows of `history.csv`."""

import numpy as np

from keras_deit.explain.curves import LOSSES, ONE_HEAD
from keras_deit.report.results import ROWS
from keras_deit.runtime.html_page import drawing
from keras_deit.runtime.optional import require
from keras_deit.runtime.printing import format_count

AGREEMENT = "teacher_agreement"
TEST = "val_"  # prefix of the columns of the test split
STYLES = {"": "--", TEST: "-"}  # of the training and of the test split
SINGLE = {  # columns with a plot each: title, and label of the axis
    "learning_rate": ("Learning rate", "learning rate"),
    "images_per_second": ("Throughput", "training images per second"),
    "waiting_for_data": ("Waiting for data", "fraction of the training time"),
    "token_similarity": ("Similarity of the two tokens", "mean cosine after the last block"),
}
SHARES = ("waiting_for_data",)
FEW = 3  # epochs, below which a line would hardly be seen


def draw_charts(history):
    """Draws losses, accuracies, agreement with the teacher, learning rate, throughput and similarity of the tokens.

    Args:
        history: List of dictionaries, one for each epoch, with the columns of a run's `history.csv`. What has no column is
            not drawn; a value may be None.

    Returns:
        List of the HTML of the images.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    accuracies = {name: label for name, label in ROWS.items() if name != AGREEMENT}
    if "class_accuracy" not in history[-1]:
        accuracies["accuracy"] = ONE_HEAD
    charts = [
        _chart(history, "Loss", LOSSES, "loss"),
        _chart(history, "Accuracy", accuracies, "accuracy", is_share=True),
        _chart(history, "Agreement with the teacher", {AGREEMENT: "fused and teacher"}, "same class", is_share=True),
    ]
    for name, (title, label) in SINGLE.items():
        charts.append(_chart(history, title, {name: None}, label, is_share=name in SHARES))
    return [chart for chart in charts if chart]


def _chart(history, title, columns, label, is_share=False):
    """The image of some columns of both splits; None if there is none of them."""
    lines = [
        (prefix, color, name) for color, name in enumerate(columns) for prefix in STYLES if prefix + name in history[-1]
    ]
    if not lines:
        return None

    def draw(axes):
        for prefix, color, name in lines:
            _draw_line(axes, history, prefix + name, _label(columns[name], prefix), color)
        axes.set(title=title, ylabel=label)
        _finish(axes, is_share, has_legend=any(columns.values()))

    return drawing(draw, _description(history, title, columns, lines))


def _draw_line(axes, history, column, label, color):
    epochs, values = zip(*((row["epoch"], _number(row.get(column))) for row in history), strict=True)
    style = STYLES[TEST if column.startswith(TEST) or label is None else ""]
    axes.plot(epochs, values, style, label=label, color=f"C{color}", marker="." if len(history) < FEW else None)


def _finish(axes, is_share, has_legend):
    axes.set(xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)  # no fractions of an epoch
    axes.grid(alpha=0.3)
    if is_share:
        ticker = require("matplotlib.ticker", extra="run", purpose="Drawing the report")
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    if has_legend:
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize="small")


def _label(name, prefix):
    return name and f"{name}, {'test' if prefix else 'training'}"


def _number(value):
    return np.nan if value is None else value


def _description(history, title, columns, lines):
    """The last values of the lines in words."""
    last = history[-1]
    values = (
        f"{_label(columns[name], prefix) or name.replace('_', ' ')} {_number(last.get(prefix + name)):.4g}"
        for prefix, _, name in lines
    )
    return f"{title} over {format_count(len(history), 'epoch')}; in the last epoch: {', '.join(values)}"
