"""Images as a grid with a few words on each, for a person to look at."""

import numpy as np

from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

INCHES = 1.7  # a side of a picture


def draw_grid(images, words, path, columns, mean, std):
    """Draws images with words above them.

    Args:
        images: Array `(images, height, width, 3)`, normalised.
        words: A string for each, of one or more lines.
        path: Path of the PNG file; it appears whole or not at all.
        columns: Number of images in a row.
        mean, std: Normalisation that is undone, of pixels in 0..1.

    Returns:
        The path.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing pictures")
    rows = -(-len(images) // columns)
    lines = max(text.count("\n") + 1 for text in words)
    figure = figures.Figure(figsize=(INCHES * columns, (INCHES + 0.16 * lines) * rows), layout="constrained")
    pixels = np.clip(np.asarray(images) * np.asarray(std) + np.asarray(mean), 0, 1)
    for place, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        axes.set_axis_off()
        if place < len(pixels):
            axes.imshow(pixels[place], interpolation="nearest")
            axes.set_title(words[place], fontsize=6.5, pad=2)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return path
