"""Training curves as an image file."""

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require

LOSSES = {
    "loss": "total",
    "class_loss": "class head",
    "distillation_loss": "distillation head",
    "attention_loss": "attention",
}
ACCURACIES = {
    "val_accuracy": "fused",
    "val_class_accuracy": "class head",
    "val_distillation_accuracy": "distillation head",
    "val_teacher_accuracy": "teacher",
}
ONE_HEAD = "model"  # label of the accuracy of a model with one head, of which nothing is fused
LINE_STYLES = ("-", "--")  # of the first and of the second run
WIDTHS = (3.5, 1.5, 1.5, 1.5)  # of the columns; the first line is seen where another one with the same values covers it


def draw_curves(histories, path):
    """Draws the losses and the test accuracies of one or two runs over the epochs.

    Args:
        histories: Dictionary from the name of a run to its history. The name of a single run may be `""`. A history is a
            list of dictionaries, one per epoch, with the key `epoch` and any of the columns of a run's `history.csv`.
            Losses and accuracies that are not in the first dictionary are not drawn. Accuracies are in 0..1.
        path: The image file to write, for example a `.png` file. If drawing fails, an existing file stays as it was.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> history = [{"epoch": 1, "loss": 2.1, "val_accuracy": 0.3}, {"epoch": 2, "loss": 1.4, "val_accuracy": 0.6}]
    >>> draw_curves({"": history}, f"{directory.name}/curves.png").name
    'curves.png'
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the curves")
    ticker = require("matplotlib.ticker", extra="run", purpose="Drawing the curves")
    figure = figures.Figure(figsize=(11, 4.2), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    _draw_panel(losses, "Training loss", LOSSES, histories)
    _draw_panel(accuracies, "Accuracy on the test split", ACCURACIES, histories)
    accuracies.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return user_path(path)


def _draw_panel(axes, title, columns, histories):
    for (run, rows), style in zip(histories.items(), LINE_STYLES, strict=False):
        for color, (column, label) in enumerate(columns.items()):
            if column in rows[0]:
                epochs, values = [row["epoch"] for row in rows], [row[column] for row in rows]
                marker = "." if len(rows) < 3 else None  # a line of a single point would be invisible
                label = ONE_HEAD if column == "val_accuracy" and "val_class_accuracy" not in rows[0] else label
                label = f"{label}, {run}" if run else label
                width = WIDTHS[color]
                axes.plot(epochs, values, style, color=f"C{color}", label=label, marker=marker, linewidth=width)
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)  # no fractions of an epoch
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
