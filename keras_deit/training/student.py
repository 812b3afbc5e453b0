"""The student of a run, from its settings."""

import dataclasses
import warnings

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models import DeiT, find_preset, get_variant
from keras_deit.models.presets import open_preset
from keras_deit.models.pretrained import find_keras_file, pretrained
from keras_deit.training.settings import PRECISIONS
from keras_deit.weights.write import as_checkpoint

MAX_PATCHES = 8  # along a side of small images


def make_student(settings, data):
    """Builds the student, with fresh weights or those that the settings name.

    Args:
        settings: `Settings`.
        data: `RunData`.

    Returns:
        A `keras_deit.DeiT`.

    Raises:
        ValueError: If the weights do not fit the settings.
    """
    student = _build(settings, data)
    for block in student.backbone.blocks:
        block.remat = settings.remat
    return student


def _build(settings, data):
    arguments = get_variant(settings.variant).arguments
    options = dict(
        num_classes=data.train.num_classes,
        class_names=data.train.class_names,
        multi_label=False,
        image_size=data.image_size,
        drop_path_rate=settings.drop_path_rate,
        dtype=PRECISIONS[settings.precision],
        distilled=arguments["distilled"] and settings.distillation != "none",
    )
    if settings.weights_entry and not settings.weights:
        raise ValueError(
            f"`weights_entry` needs weights. Received: weights_entry={settings.weights_entry!r}. Pass --weights as well."
        )
    if settings.weights:
        student = _with_weights(settings, options)
        taken = (
            student.preprocessing or data.preprocessing
        )  # the weights expect the normalisation that they were trained on
        student.preprocessing = dataclasses.replace(data.preprocessing, mean=taken.mean, std=taken.std)
        return student
    patch_size = settings.patch_size or suitable_patch_size(data.image_size[0], arguments["patch_size"])
    return DeiT.from_variant(settings.variant, patch_size=patch_size, preprocessing=data.preprocessing, **options)


def recorded_preprocessing(settings):
    """Returns the record of the weights that a student starts from, without building the student.

    Args:
        settings: `Settings`.

    Returns:
        The `keras_deit.Preprocessing`; None without weights or without a record.
    """
    if not settings.weights:
        return None
    if find_preset(settings.weights):  # presets have the normalisation of the default record: nothing is downloaded
        return Preprocessing()
    if find_keras_file(settings.weights) is None:
        checkpoint, _ = open_preset(settings.weights, weights_entry=settings.weights_entry)
        return checkpoint.preprocessing
    return pretrained(settings.weights).preprocessing


def suitable_patch_size(image_size, published):
    """Chooses a patch size: the published one if it gives enough patches, otherwise a smaller one.

    Args:
        image_size: Side of the image in pixels.
        published: Patch size of the variant in pixels.

    Returns:
        Side of a patch in pixels, a divisor of the image size.

    Example:

    >>> [suitable_patch_size(size, published=16) for size in (8, 28, 32, 224)]
    [4, 4, 4, 16]
    """
    if image_size % published == 0 and image_size >= MAX_PATCHES * published:
        return published
    largest = max(4, image_size // MAX_PATCHES)
    return max(side for side in range(1, largest + 1) if image_size % side == 0)


def _with_weights(settings, options):
    if settings.patch_size:
        raise ValueError(
            f"The weights determine the patch size. Received: patch_size={settings.patch_size}. Leave --patch-size out."
        )
    if find_keras_file(settings.weights) is None:
        return DeiT.from_preset(
            settings.weights, variant=settings.variant, weights_entry=settings.weights_entry, **options
        )
    # The weights of a saved model are loaded like those of any checkpoint: by timm's names.
    checkpoint = as_checkpoint(
        pretrained(settings.weights, weights_entry=settings.weights_entry), f"the model {settings.weights!r}"
    )
    student, notes = DeiT.from_checkpoint(checkpoint, **options)
    if notes:
        warnings.warn(f"{settings.weights}: {' '.join(notes)}", stacklevel=2)
    return student
