"""Images as a grid with a caption above each."""

import numpy as np

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require

IMAGE_INCHES = 1.7
CAPTION_LINE_INCHES = 0.16


def draw_grid(images, captions, path, columns, mean, std):
    """Draws images in rows, with a caption above each.

    Args:
        images: Normalised images, an array `(images, height, width, 3)`.
        captions: List of strings, one per image. A caption may have several lines.
        path: The PNG file to write. If drawing fails, an existing file stays as it was.
        columns: Number of images per row.
        mean, std: Mean and standard deviation of the images' normalisation, for pixels in 0..1. The normalisation is undone
            before drawing.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> images = np.zeros((3, 32, 32, 3))
    >>> captions = ["cat", "dog", "cat 60% + dog 40%"]
    >>> draw_grid(images, captions, f"{directory.name}/images.png", columns=2, mean=0.5, std=0.25).name
    'images.png'
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing images")
    rows = -(-len(images) // columns)
    caption_lines = max(caption.count("\n") + 1 for caption in captions)
    row_inches = IMAGE_INCHES + CAPTION_LINE_INCHES * caption_lines
    figure = figures.Figure(figsize=(IMAGE_INCHES * columns, row_inches * rows), layout="constrained")
    pixels = np.clip(np.asarray(images) * np.asarray(std) + np.asarray(mean), 0, 1)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        axes.set_axis_off()
        if index < len(pixels):
            axes.imshow(pixels[index], interpolation="nearest")
            axes.set_title(captions[index], fontsize=6.5, pad=2, parse_math=False)  # a $ is a character
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return user_path(path)
