"""Keras layers that replace the operations of an augmentation: layers of keras-cv, of Keras, or of your own."""

import pathlib

import keras
import numpy as np

from keras_deit.data.augment.policies import BLUR_RADII, SOLARIZE_THRESHOLD, ColorJitter, RandAugment, ThreeAugment
from keras_deit.data.augment.randaugment_space import HIGHEST_LEVEL
from keras_deit.imaging.pixel_range import OVERSHOOT, USUALLY_NORMALIZED
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.optional import require

KERAS_CV = "keras-cv"
PIXELS = (0, 255)
BLUR_KERNEL = 13  # pixels: six times the largest radius, plus one
CUT_OUT = (0.14, 0.58)  # fractions of each side, which erase about the area that the recipe's erasing erases
GREY = 124.0
MOST_BEYOND = 0.1  # of the values of a batch; strong noise leaves 0..255 by more than `OVERSHOOT` for fewer of them
# A layer of Keras or keras-cv that has one of these methods transforms labels along with images.
LABEL_METHODS = (
    "transform_labels",
    "augment_label",
    "augment_labels",
)


def find_layers(layers, augmentation):
    """Finds the layers that are applied to batches.

    Args:
        layers: `"keras-cv"`; the path of a `.keras` file; or a Keras layer, `keras.layers.Pipeline` or `keras.Sequential`
            for pixels in 0..255. Layers that mix images, such as `keras.layers.MixUp`, also mix the labels.
        augmentation: `Augmentation`; `"keras-cv"` stands for the layers of keras-cv that come nearest to its operations.

    Returns:
        List of `keras.layers.Pipeline`, one for each layer.

    Raises:
        ValueError: If `layers` is something else, or a model other than a `keras.Sequential`.
        ImportError: If keras-cv is missing.

    Example:

    >>> import numpy as np
    >>> from keras_deit.data import Augmentation
    >>> layers = find_layers(keras.layers.RandomFlip("horizontal"), Augmentation())
    >>> images, labels = apply(layers, np.zeros((2, 8, 8, 3), "float32"), np.eye(2, dtype="float32"))
    >>> tuple(images.shape), tuple(labels.shape)
    ((2, 8, 8, 3), (2, 2))
    """
    if layers == KERAS_CV:
        found = _of_keras_cv(augmentation)
    elif isinstance(layers, keras.layers.Layer):
        found = _flatten(layers)
    else:
        found = _flatten(_read(layers))
    return [
        keras.layers.Pipeline([layer]) for layer in found
    ]  # a Pipeline passes `training` only to layers that take it


def build(layers, image_shape):
    """Builds layers outside of a `Pipeline`, which would build them where tensors have no values.

    A layer that computes with its arguments when it is built, such as Normalization with a mean, would keep a tensor
    without values, and return arbitrary images.

    Args:
        layers: List that `find_layers` returned.
        image_shape: Shape of the images `(height, width, 3)`.
    """
    for layer in (pipeline.layers[0] for pipeline in layers):
        builds_itself = type(layer).build is not keras.layers.Layer.build
        if builds_itself and not layer.built and not _transforms_labels(layer):
            layer.build((None, *image_shape))


def apply(layers, images, labels):
    """Applies layers to a batch.

    Args:
        layers: List that `find_layers` returned.
        images: Floats `(batch, height, width, 3)`, pixels in 0..255.
        labels: Floats `(batch, classes)`.

    Returns:
        The augmented images and labels.
    """
    for layer in layers:
        if _transforms_labels(layer.layers[0]):
            batch = layer({"images": images, "labels": labels}, training=True)
            images, labels = batch["images"], batch["labels"]
        else:
            images = layer(images, training=True)
    return images, labels


def _transforms_labels(layer):
    """Whether a layer takes a dictionary of images and labels. The method of Keras's base class only raises an error."""
    classes = [base for base in type(layer).__mro__ if base.__name__ != "BaseImagePreprocessingLayer"]
    return any(name in vars(base) for base in classes for name in LABEL_METHODS)


def shape_error(before, after):
    """Returns the message for layers that change the shape of a batch of images."""
    return (
        f"The layers of `augmentation_layers` must keep the shape of the images. They turn images {tuple(before)} into "
        f"{tuple(after)}."
    )


def check_augmented(images):
    """Checks that layers have not rescaled or normalised the pixels, which are normalised after the layers.

    Args:
        images: Array, what the layers made of a batch of pixels in 0..255.

    Raises:
        ValueError: If the values look like pixels in 0..1 or -1..1 or like normalised ones, are far outside of 0..255 more
            often than those of strong noise, or are not finite.
    """
    low, high = float(images.min()), float(images.max())
    beyond = np.mean((images < -OVERSHOOT) | (images > PIXELS[1] + OVERSHOOT))
    is_rescaled = 0 < high <= 1 or (low < 0 and high <= USUALLY_NORMALIZED)
    if is_rescaled or beyond > MOST_BEYOND or not np.isfinite([low, high]).all():
        raise ValueError(
            "The layers of `augmentation_layers` must return pixels in 0..255, which are normalised afterwards. They return "
            f"values in {low:.4g}..{high:.4g}. Leave out layers that rescale or normalise, such as Rescaling and "
            "Normalization, and pass value_range=(0, 255) to layers that take a value range."
        )


def _read(path):
    error = "there is no such name"
    if isinstance(path, (str, pathlib.Path)) and pathlib.Path(path).suffix == ".keras":
        try:
            return load_keras_file(path)
        except ValueError as reason:
            error = reason
    raise ValueError(
        "`augmentation_layers` must be 'keras-cv', the path of a `.keras` file or, in Python, a Keras layer. Received: "
        f"augmentation_layers={path!r} ({error})"
    )


def _flatten(layer):
    if isinstance(layer, (keras.layers.Pipeline, keras.Sequential)):
        return [inner for part in layer.layers for inner in _flatten(part)]
    if isinstance(layer, keras.Model):
        raise ValueError(
            f"`augmentation_layers` takes a sequence of layers, and {layer.name!r} is a model. Put its layers into a "
            "`keras.Sequential` or a `keras.layers.Pipeline`."
        )
    return [layer]


def _of_keras_cv(augmentation):
    layers = require("keras_cv.layers", extra="keras-cv", purpose="Augmentation by keras-cv")
    found = [layers.RandomFlip("horizontal", rate=augmentation.flip)] if augmentation.flip else []
    found += [_of_policy(layers, policy) for policy in augmentation.policies()]
    if augmentation.erasing:
        cut_out = layers.RandomCutout(CUT_OUT, CUT_OUT, fill_mode="constant", fill_value=GREY)
        found.append(layers.RandomApply(cut_out, rate=augmentation.erasing))
    mixing = [layers.MixUp(alpha=augmentation.mixup)] if augmentation.mixup else []
    mixing += [layers.CutMix(alpha=augmentation.cutmix)] if augmentation.cutmix else []
    return [*found, layers.RandomChoice(mixing, batchwise=True)] if mixing else found


def _of_policy(layers, policy):
    if isinstance(policy, RandAugment):
        return layers.RandAugment(
            PIXELS,
            augmentations_per_image=policy.num_operations,
            magnitude=policy.magnitude / HIGHEST_LEVEL,
            magnitude_stddev=policy.magnitude_std / HIGHEST_LEVEL,
            rate=policy.probability,
        )
    if isinstance(policy, ThreeAugment):
        choices = [
            layers.Grayscale(output_channels=3),
            layers.Solarization(PIXELS, threshold_factor=(SOLARIZE_THRESHOLD, SOLARIZE_THRESHOLD)),
            layers.RandomGaussianBlur(BLUR_KERNEL, BLUR_RADII),
        ]
        return layers.RandomChoice(choices)
    if not isinstance(policy, ColorJitter):
        raise ValueError(f"keras-cv has no layer for {policy}. Choose another `auto_augment`, or none.")
    strength = policy.strength
    saturation = tuple(
        factor / (1 + factor) for factor in (1 - strength, 1 + strength)
    )  # on keras-cv's scale, 0.5 leaves the image unchanged
    return layers.RandomColorJitter(PIXELS, strength, strength, saturation, hue_factor=0.0)
