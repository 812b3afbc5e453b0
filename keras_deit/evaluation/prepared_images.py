"""The images of a dataset, prepared for a model as in its evaluation."""

import numpy as np

from keras_deit.data import InputPipeline
from keras_deit.evaluation.classes import map_classes
from keras_deit.export.exported_model import ExportedModel
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.image_model import DEFAULT_IMAGE_SIZE

BATCH_SIZE = 128  # as in the evaluation of a run
UNKNOWN_PREPARATION = (
    "The model does not store how its images are prepared: "
    "they were normalised by ImageNet's mean and standard deviation."
)
PREPARATION = ("image_size", "crop_ratio", "interpolation", "squash", "mean", "std")


def prepared_images(model, data, max_bytes, pipeline="auto", num_workers=None, classes=None):
    """Prepares images of a dataset as the model's record says.

    Args:
        model: As for `keras_deit.evaluation.evaluate.evaluate`.
        data: `keras_deit.data.LabelledImages`.
        max_bytes: Memory for the images. If the dataset needs more, images at equal distances in its order are taken.
        pipeline, num_workers: See `keras_deit.data.InputPipeline`.
        classes: What `classes_of` returns; None for images without labels.

    Returns:
        Float32 array `(images, height, width, 3)`, and integers `(images,)` with the model's class of each image, -1 for an
        unlabelled image. Without `classes`, the latter is None.

    Raises:
        ValueError: If an image cannot be read.

    Example:

    ```python
    data = kd.data.load("images/", "test")
    images, labels = prepared_images(model, data, max_bytes=2**28, classes=classes_of(model, data))
    ```
    """
    preparation = preparation_of(model)
    height, width = preparation["image_size"]
    chosen = data.evenly_spaced(max(1, max_bytes // (4 * height * width * 3)))
    inputs = InputPipeline(chosen, pipeline=pipeline, num_workers=num_workers, **preparation)
    images, rows = (np.concatenate(arrays) for arrays in zip(*evaluation_batches(inputs), strict=True))
    if classes is None:
        return images, None
    return images, np.where(rows.any(axis=-1), classes.theirs[rows.argmax(axis=-1)], -1)


def classes_of(model, data):
    """Finds the classes of a dataset among those of a model.

    Args:
        model, data: See `prepared_images`.

    Returns:
        `keras_deit.evaluation.classes.ClassMap`; None for a model that gives an image several classes.

    Raises:
        ValueError: If the dataset has classes that the model lacks.
    """
    if getattr(model, "multi_label", False):
        return None
    return map_classes(getattr(model, "class_names", None), model.output_shape[-1], data.class_names)


def evaluation_batches(inputs):
    """Yields the batches of an `InputPipeline`, in the order of its dataset.

    Args:
        inputs: `keras_deit.data.InputPipeline`.

    Yields:
        Normalised images `(batch, height, width, 3)`, and one-hot labels `(batch, classes)`, arrays.
    """
    batches = inputs.evaluation_batches(BATCH_SIZE)
    is_dataset = not hasattr(batches, "num_batches")  # of TensorFlow, not of Keras
    for images, rows, _ in batches if is_dataset else map(batches.__getitem__, range(batches.num_batches)):
        yield np.asarray(images), np.asarray(rows)


def knows_preparation(model):
    """Returns whether a model says how its images are prepared.

    Args:
        model: As for `preparation_of`.

    Returns:
        True or False. The models of this package do, by a record or by its absence; an export does by its record.
    """
    if isinstance(model, ExportedModel):
        return model.preprocessing is not None
    return hasattr(model, "image_processor")


def preparation_of(model, image_size=None, overrides=None):
    """Finds how the images of a model are prepared.

    Args:
        model: A model of this package, an `ExportedModel`, or another Keras model of images.
        image_size: Side of the images in pixels, or `(height, width)`; None means the model's own.
        overrides: Dictionary of arguments of `keras_deit.ImageProcessor` that replace those of the record, or None.

    Returns:
        Dictionary of arguments of `keras_deit.data.InputPipeline`.

    Raises:
        ValueError: If the model takes images of another size.
    """
    own_size, overrides = model.input_shape[1:3], overrides or {}
    if hasattr(model, "image_processor"):
        processor = model.image_processor(image_size, **overrides)
    else:
        known_size = DEFAULT_IMAGE_SIZE if None in own_size else own_size
        processor = Preprocessing().processor(image_size or known_size, **overrides)
    if any(own not in (None, side) for own, side in zip(own_size, processor.image_size, strict=True)):
        raise ValueError(
            f"The model takes images of {own_size[0]}×{own_size[1]} pixels. Received: image_size={processor.image_size}. "
            "Leave the image size out. Models of this package are built for another size by "
            "`keras_deit.pretrained(source, image_size=...)`."
        )
    return {name: getattr(processor, name) for name in PREPARATION}
