"""The images of a run's report as pixels: as the student sees them, and with the attention of its tokens over them."""

import dataclasses

import numpy as np

from keras_deit.data import InputPipeline
from keras_deit.evaluation.prepared_images import evaluation_batches, preparation_of
from keras_deit.explain.attention import TOKENS, rollout_maps
from keras_deit.explain.overlay import attention_figure

NUM_SAMPLES = 6  # images whose attention is shown


@dataclasses.dataclass(frozen=True)
class ShownAttention:
    """An image with the attention of the tokens.

    Attributes:
        image: Path of the file, or index and dataset.
        figure: `matplotlib.figure.Figure` of the image, and of the attention of each token over the image.
    """

    image: str
    figure: object


def shown_pixels(data, preparation):
    """Prepares images as the student sees them.

    Args:
        data: `keras_deit.data.LabelledImages`.
        preparation: Dictionary of arguments of `keras_deit.data.InputPipeline`, see `preparation_of`.

    Returns:
        Float array `(images, height, width, 3)` of pixels in 0..1.

    Raises:
        ValueError: If an image cannot be read.
    """
    return _as_pixels(prepared(data, preparation), preparation)


def shown_attention(student, data):
    """Draws the attention of the tokens for some test images, at equal distances in the order of the dataset.

    Args:
        student: `DeiT` or `DeiTClassifier`.
        data: `keras_deit.data.LabelledImages`.

    Returns:
        List of `ShownAttention`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an image cannot be read.
    """
    indices, preparation = data.spaced_indices(NUM_SAMPLES), preparation_of(student)
    images = prepared(data.select(indices), preparation)
    tokens = TOKENS if student.backbone.distilled else TOKENS[:1]
    batches = list(rollout_maps(student, images, tokens))
    maps = {f"{token} token": np.concatenate([batch[token] for batch in batches]) for token in tokens}
    normalisation = preparation["mean"], preparation["std"]
    return [
        ShownAttention(data.describe(int(index)), _figure(images, maps, position, *normalisation))
        for position, index in enumerate(indices)
    ]


def prepared(data, preparation):
    """Prepares images for the student; see `shown_pixels` for the arguments.

    Returns:
        Float array `(images, height, width, 3)`, normalised.
    """
    inputs = InputPipeline(data, **preparation)
    return np.concatenate([images for images, _ in evaluation_batches(inputs)])


def _figure(images, maps, position, mean, std):
    """The figure of one image."""
    of_image = {title: of_images[position : position + 1] for title, of_images in maps.items()}
    return attention_figure(images[position : position + 1], of_image, mean, std)


def _as_pixels(images, preparation):
    return np.clip(images * np.asarray(preparation["std"]) + np.asarray(preparation["mean"]), 0, 1)
