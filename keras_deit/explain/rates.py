"""A matrix of disagreements as an image file."""

import numpy as np

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require

CELL_INCHES, MARGIN_INCHES = 0.75, 1.6
MIN_SCALE = 0.01  # rate at the end of the scale, if all rates are smaller


def draw_disagreement(names, rates, path):
    """Draws the matrix that `disagreement` returns, with the numbers in percent.

    Args:
        names: Names of the classifiers.
        rates: Array `(names, names)` of rates in 0..1.
        path: The image file to write, for example a `.png` file. If drawing fails, an existing file stays as it was.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> rates = np.array([[0.0, 0.1], [0.1, 0.0]])
    >>> draw_disagreement(("teacher", "class"), rates, f"{directory.name}/disagreement.png").name
    'disagreement.png'
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the disagreement")
    side = MARGIN_INCHES + CELL_INCHES * len(names)
    figure = figures.Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    rates = np.asarray(rates)
    largest = max(rates.max(), MIN_SCALE)
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=largest, interpolation="nearest")
    for row, column in np.ndindex(rates.shape):
        color = "white" if rates[row, column] > 0.6 * largest else "black"
        axes.text(column, row, f"{rates[row, column]:.1%}", ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_title("Images with different predictions", fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return user_path(path)
