"""Training curves as a picture."""

from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

_PANELS = {
    "Training loss": (("loss", "total"), ("class_loss", "class head"), ("distillation_loss", "distillation head")),
    "Accuracy on the test part": (
        ("val_accuracy", "fused"),
        ("val_class_accuracy", "class head"),
        ("val_distillation_accuracy", "distillation head"),
        ("val_teacher_accuracy", "teacher"),
    ),
}
_STYLES = ("-", "--")


def draw_curves(histories, path):
    """Draws losses and accuracies over the epochs.

    Args:
        histories: Dictionary from the name of a run, "" if there is but one, to its rows, each a dictionary with `epoch`.
        path: Path of the picture; it appears whole or not at all.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the curves")
    figure = figures.Figure(figsize=(11, 4.2), layout="constrained")
    for panel, (title, curves) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        for (run, rows), style in zip(histories.items(), _STYLES, strict=False):
            for color, (column, label) in enumerate(curves):
                if column in rows[0]:
                    label = f"{label}, {run}" if run else label
                    epochs, values = [row["epoch"] for row in rows], [row[column] for row in rows]
                    marker = "." if len(rows) < 3 else None  # a line of one point is not to be seen
                    panel.plot(epochs, values, style, color=f"C{color}", label=label, marker=marker)
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)  # no half epochs
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
        if "Accuracy" in title:
            panel.yaxis.set_major_formatter(
                require("matplotlib.ticker", "run", "Drawing the curves").PercentFormatter(1.0)
            )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
