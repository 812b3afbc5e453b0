"""Attention maps over their images."""

import numpy as np

from keras_deit.imaging.channels import LUMA
from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.html_page import printable
from keras_deit.runtime.optional import require

CELL_INCHES, LINE_INCHES, BAR_INCHES = 2.5, 0.16, 0.7
COLORS = "viridis"  # light means more, also to the colour-blind and without colours
OPACITY = 0.65  # of a map over its image
EVEN = 1.0  # attention of each patch where all patches get the same


def draw_attention(images, maps, path, mean, std, captions=None):
    """Draws images, and beside each image one or several attention maps over the image in grey.

    A colour says how many times as much attention a patch gets as it would if all patches got the same. The maps of an image
    have one scale and can be compared.

    Args:
        images: Normalised images `(images, height, width, 3)`.
        maps: Dictionary from the titles of columns to maps `(images, rows, columns)` that sum to 1, such as those that
            `attention_rollout` returns.
        path: The PNG file to write. If drawing fails, an existing file stays as it was.
        mean, std: Mean and standard deviation of the images' normalisation, for pixels in 0..1. The normalisation is undone
            before drawing.
        captions: List of texts, one above each image; None means none.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the numbers of images, maps and captions differ, or there is no image or map.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> maps = {"class token": np.full((1, 2, 2), 0.25)}
    >>> draw_attention(np.zeros((1, 32, 32, 3)), maps, f"{directory.name}/attention.png", mean=0.5, std=0.25).name
    'attention.png'
    """
    figure = attention_figure(images, maps, mean, std, captions)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return user_path(path)


def attention_figure(images, maps, mean, std, captions=None):
    """Draws attention maps into a figure.

    Args:
        images, maps, mean, std, captions: See `draw_attention`.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError, ValueError: See `draw_attention`.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing attention maps")
    captions = [""] * len(images) if captions is None else captions
    _check_numbers(images, maps, captions)
    pixels = np.clip(np.asarray(images) * np.asarray(std) + np.asarray(mean), 0, 1)
    figure = figures.Figure(figsize=_size(pixels.shape, (*captions, *maps), len(maps)), layout="constrained")
    cells = figure.subplots(len(pixels), 1 + len(maps), squeeze=False)
    for index, row in enumerate(cells):
        titles = (captions[index], *maps)
        _draw_row(figure, row, pixels[index], [np.asarray(of_all[index]) for of_all in maps.values()], titles)
    return figure


def _check_numbers(images, maps, captions):
    numbers = {"images": len(images), "captions": len(captions), **{repr(name): len(one) for name, one in maps.items()}}
    if len(set(numbers.values())) > 1 or not len(images) or not maps:
        raise ValueError(
            "`draw_attention` needs at least one image and one column of maps, and a map and a caption for each image. "
            f"Received: {numbers}"
        )


def _size(shape, texts, num_maps):
    """Width and height of the figure in inches."""
    num_images, height, width, _ = shape
    lines = 1 + max(text.count("\n") for text in texts)
    cell_height = CELL_INCHES * height / width + LINE_INCHES * (lines + 1)
    return CELL_INCHES * (1 + num_maps) + BAR_INCHES, cell_height * num_images


def _draw_row(figure, cells, pixels, maps, titles):
    relative = [weights * weights.size for weights in maps]
    scale = {"cmap": COLORS, "vmin": 0, "vmax": max(2 * EVEN, *(weights.max() for weights in relative))}
    height, width = pixels.shape[:2]
    frame = {"extent": (0, width, height, 0), "interpolation": "nearest"}
    cells[0].imshow(pixels, **frame)
    for cell, weights in zip(cells[1:], relative, strict=True):
        cell.imshow(pixels @ LUMA, cmap="gray", vmin=0, vmax=1, **frame)
        cell.imshow(weights, alpha=OPACITY, **scale, **frame)
    for cell, title in zip(cells, titles, strict=True):
        cell.set_axis_off()
        cell.set_title(printable(title), fontsize=8, pad=3, parse_math=False)  # a $ is a character
    bar = figure.colorbar(cells[-1].images[-1], ax=list(cells), shrink=0.85, pad=0.01, aspect=25)
    bar.solids.set_alpha(1)
    bar.set_label("attention\n(1 = the same for all patches)", fontsize=7)
    bar.ax.tick_params(labelsize=7)
