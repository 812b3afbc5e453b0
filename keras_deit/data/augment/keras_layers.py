"""Keras layers in the place of a recipe's operations: keras-cv's, those of Keras, or somebody's own."""

import pathlib

import keras

from keras_deit.data.augment.policies import BLUR_RADII, SOLARIZE_THRESHOLD, ColorJitter, RandAugment, ThreeAugment
from keras_deit.data.augment.randaugment_space import HIGHEST_LEVEL
from keras_deit.runtime.optional import require

KERAS_CV = "keras-cv"
PIXELS = (0, 255)
BLUR_KERNEL = 13  # pixels, six times the largest radius and one
CUT_OUT = (0.14, 0.58)  # of each side, so that about the area is erased that the recipe erases
GREY = 124.0
# Methods of layers of Keras and keras-cv that do to labels what is done to images.
KNOWS_LABELS = (
    "transform_labels",
    "augment_label",
    "augment_labels",
)


def find_layers(augmentation, recipe):
    """The layers that batches go through.

    Args:
        augmentation: `"keras-cv"`; the path of a `.keras` file; or a Keras layer, `keras.layers.Pipeline` or
            `keras.Sequential`, of pixels in 0..255. Layers that mix images, such as `keras.layers.MixUp`, mix their labels.
        recipe: `Augmentation`, whose operations keras-cv's layers stand for.

    Returns:
        List of `keras.layers.Pipeline`, one for each layer.

    Raises:
        ValueError: If it is none of these, or another kind of model.
        ImportError: If keras-cv is missing.

    Example:

    >>> import numpy as np
    >>> from keras_deit.data import Augmentation
    >>> layers = find_layers(keras.layers.RandomFlip("horizontal"), Augmentation())
    >>> images, labels = apply(layers, np.zeros((2, 8, 8, 3), "float32"), np.eye(2, dtype="float32"))
    >>> tuple(images.shape), tuple(labels.shape)
    ((2, 8, 8, 3), (2, 2))
    """
    if augmentation == KERAS_CV:
        layers = _of_keras_cv(recipe)
    elif isinstance(augmentation, keras.layers.Layer):
        layers = _flat(augmentation)
    else:
        layers = _flat(_read(augmentation))
    return [keras.layers.Pipeline([layer]) for layer in layers]  # which knows the arguments that a layer takes


def apply(layers, images, labels):
    """Takes a batch through layers.

    Args:
        layers: From `find_layers`.
        images: Float `(batch, height, width, 3)`, pixels in 0..255.
        labels: Float `(batch, classes)`.

    Returns:
        Images and labels.
    """
    for layer in layers:
        if _knows_labels(layer.layers[0]):
            batch = layer({"images": images, "labels": labels}, training=True)
            images, labels = batch["images"], batch["labels"]
        else:
            images = layer(images, training=True)
    return images, labels


def _knows_labels(layer):
    """Whether it takes images and labels as a dictionary; Keras's base class has the method and says that it is missing."""
    classes = [one for one in type(layer).__mro__ if one.__name__ != "BaseImagePreprocessingLayer"]
    return any(name in vars(one) for one in classes for name in KNOWS_LABELS)


def other_shape(before, after):
    """What to say of layers that turn batches of images into another shape."""
    return f"The layers of `augmentation` turn images {tuple(before)} into {tuple(after)}."


def _read(path):
    error = "no such name"
    if isinstance(path, (str, pathlib.Path)) and pathlib.Path(path).suffix == ".keras":
        try:
            return keras.saving.load_model(path)
        except (OSError, TypeError, ValueError) as reason:
            error = reason
    raise ValueError(
        "`augmentation` must be 'keras-cv', the path of a `.keras` file or, in Python, a Keras layer. Received: "
        f"augmentation={path!r} ({error})"
    )


def _flat(layer):
    if isinstance(layer, (keras.layers.Pipeline, keras.Sequential)):
        return [inner for part in layer.layers for inner in _flat(part)]
    if isinstance(layer, keras.Model):
        raise ValueError(
            f"`augmentation` takes layers, one after the other, and {layer.name!r} is a model. Put its layers into a "
            "`keras.Sequential` or a `keras.layers.Pipeline`."
        )
    return [layer]


def _of_keras_cv(recipe):
    layers = require("keras_cv.layers", extra="keras-cv", purpose="Augmentation by keras-cv")
    found = [layers.RandomFlip("horizontal", rate=recipe.flip)] if recipe.flip else []
    found += [_of_policy(layers, policy) for policy in recipe.policies()]
    if recipe.erasing:
        cut_out = layers.RandomCutout(CUT_OUT, CUT_OUT, fill_mode="constant", fill_value=GREY)
        found.append(layers.RandomApply(cut_out, rate=recipe.erasing))
    mixing = [layers.MixUp(alpha=recipe.mixup)] if recipe.mixup else []
    mixing += [layers.CutMix(alpha=recipe.cutmix)] if recipe.cutmix else []
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
    )  # keras-cv's scale: 0.5 is neutral
    return layers.RandomColorJitter(PIXELS, strength, strength, saturation, hue_factor=0.0)
