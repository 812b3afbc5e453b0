"""Charts over the depth of a model: the similarity of the two tokens, and the distance of attention."""

import numpy as np

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require

FIGURE_INCHES = (6.0, 3.8)
LINE, DOTS = "#08306b", "#e08214"  # dark blue and orange, which differ in lightness and to the colour-blind


def draw_token_similarity(similarities, path):
    """Draws the similarity of the class token and the distillation token over the depth.

    Args:
        similarities: Array `(blocks + 1,)` of cosines, which `token_similarity` returns.
        path: The image file to write, for example a `.png` file. If drawing fails, an existing file stays as it was.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> draw_token_similarity(np.array([0.06, 0.5, 0.93]), f"{directory.name}/similarity.png").name
    'similarity.png'
    """
    figure, axes = _figure("Drawing the similarity of the tokens")
    axes.plot(range(len(similarities)), similarities, color=LINE, marker="o", markersize=4)
    axes.set(title="Similarity of class and distillation token", xlabel="block (0: input)", ylabel="cosine")
    axes.set_ylim(min(-0.05, np.min(similarities) - 0.05), 1.05)
    return _save(figure, path)


def draw_attention_distance(distances, path):
    """Draws the attention distance of each head over the depth, and the mean of each block.

    Args:
        distances: Array `(blocks, heads)` in pixels, which `attention_distance` returns.
        path: The image file to write, for example a `.png` file. If drawing fails, an existing file stays as it was.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> draw_attention_distance(np.array([[20.0, 60.0], [70.0, 80.0]]), f"{directory.name}/distance.png").name
    'distance.png'
    """
    figure, axes = _figure("Drawing the attention distance")
    distances = np.asarray(distances)
    blocks = np.arange(1, len(distances) + 1)
    axes.scatter(np.repeat(blocks, distances.shape[1]), distances.ravel(), s=16, color=DOTS, label="head")
    axes.plot(blocks, distances.mean(axis=1), color=LINE, marker="_", markersize=10, label="mean of the heads")
    axes.set(title="Attention distance", xlabel="block", ylabel="mean distance in pixels")
    axes.set_ylim(0, 1.08 * distances.max())
    axes.legend(fontsize="small")
    return _save(figure, path)


def _figure(purpose):
    figures = require("matplotlib.figure", extra="run", purpose=purpose)
    figure = figures.Figure(figsize=FIGURE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.xaxis.get_major_locator().set_params(integer=True)  # no fractions of a block
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure, path):
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return user_path(path)
