"""The student of a run, from its settings."""

import dataclasses

from keras_deit import lora
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models import DeiT, find_preset, get_variant
from keras_deit.models.presets import open_preset
from keras_deit.models.pretrained import find_keras_file, pretrained
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.training.settings import IMAGENET, PRECISIONS
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
    if settings.lora_rank is not None:
        lora.enable(student, settings.lora_rank)
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
        **_size(settings, arguments),
    )
    if settings.weights_entry and not settings.weights:
        raise ValueError(
            f"`weights_entry` needs weights. Received: weights_entry={settings.weights_entry!r}. Pass --weights as well."
        )
    if settings.lora_rank is not None and not settings.weights:
        raise ValueError(
            f"LoRA fine-tunes trained weights. Received: lora_rank={settings.lora_rank} without weights. Pass --weights as "
            "well, or leave --lora-rank out."
        )
    if settings.weights:
        _check_no_patch_size(settings)
        return with_record_of_weights(with_weights(settings, DeiT, options), data.preprocessing)
    patch_size = settings.patch_size or suitable_patch_size(data.image_size[0], arguments["patch_size"])
    return DeiT.from_variant(settings.variant, patch_size=patch_size, preprocessing=data.preprocessing, **options)


def _size(settings, arguments):
    """Returns the arguments by which the student is smaller or larger than its variant, whose arguments are given."""
    size = {} if settings.num_layers is None else {"num_layers": settings.num_layers}
    if settings.num_heads is not None:
        head_dim = arguments["hidden_dim"] // arguments["num_heads"]
        size.update(num_heads=settings.num_heads, hidden_dim=settings.num_heads * head_dim)
    return size


def recorded_preprocessing(settings):
    """Returns the record of the weights that a student starts from, without building the student.

    Args:
        settings: `Settings`.

    Returns:
        The `keras_deit.Preprocessing`; None without weights or without a record.
    """
    if not settings.weights:
        return None
    if settings.weights == IMAGENET or find_preset(settings.weights):
        return Preprocessing()  # published weights have the normalisation of the default record: nothing is downloaded
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


def with_record_of_weights(model, record):
    """Records how the images of a model with loaded weights are prepared.

    Args:
        model: `DeiT` or `RegNetY`.
        record: `keras_deit.Preprocessing` of the run. The normalisation is that of the weights, if they have a record: they
            expect the normalisation that they were trained on.

    Returns:
        The model.
    """
    taken = model.preprocessing or record
    model.preprocessing = dataclasses.replace(record, mean=taken.mean, std=taken.std)
    return model


def _check_no_patch_size(settings):
    if settings.patch_size:
        raise ValueError(
            f"The weights determine the patch size. Received: patch_size={settings.patch_size}. Leave --patch-size out."
        )


def with_weights(settings, model_class, options):
    """Builds a model with the weights that the settings name.

    Args:
        settings: `Settings` with `weights`.
        model_class: `DeiT` or `RegNetY`.
        options: Dictionary of arguments of the class.

    Returns:
        The model. A warning names its differences from the weights.

    Raises:
        ValueError: If the weights do not fit the settings.
    """
    if find_keras_file(settings.weights) is None:
        return model_class.from_preset(
            settings.weights, variant=settings.variant, weights_entry=settings.weights_entry, **options
        )
    # The weights of a saved model are loaded like those of any checkpoint: by timm's names.
    checkpoint = as_checkpoint(
        pretrained(settings.weights, weights_entry=settings.weights_entry), f"the model {settings.weights!r}"
    )
    if checkpoint.family == "deit":  # a run may have chosen another patch size than the variant's
        options["patch_size"] = checkpoint.architecture(options.get("image_size"))["patch_size"]
    model, notes = model_class.from_checkpoint(checkpoint, variant=settings.variant, **options)
    if notes:
        warn_caller(f"{settings.weights}: {' '.join(notes)}")
    return model
