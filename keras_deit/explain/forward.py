"""Running a DeiT over the images of any data, batch by batch."""

import keras
import numpy as np

from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.classifier import check_whole_tokens
from keras_deit.runtime.concrete import concrete_values
from keras_deit.runtime.endless import is_endless

BATCH_SIZE = 128  # largest number of images that are computed together
ATTENTION_BYTES = 2**28  # of the attention maps of all blocks, which bounds the number of images in a batch


class BatchFunction(keras.Model):
    """A function of images that calls a model, compiled as Keras compiles `predict`, and without gradients.

    Args:
        function: Function of images that calls `model`, and returns tensors in any structure.
        model: The Keras layer or model whose variables the function uses. For another callable, the function is not
            compiled.
    """

    def __init__(self, function, model):
        is_layer = isinstance(model, keras.layers.Layer)
        super().__init__(name="batch_function", autocast=False)
        self._function = (function,)  # in a tuple, which Keras does not track
        if is_layer:
            self.called_model = model  # tracked by Keras, so that its variables are the state of the compiled step
        self.compile(run_eagerly=not is_layer)
        self.built = True

    def call(self, images):
        """Returns the outputs of the function."""
        return self._function[0](images)

    def predict_on_batch(self, images):
        """Returns the outputs as arrays with one row for each image.

        On TensorFlow with several replicas, Keras returns the outputs of all replicas one after the other.
        """
        outputs = super().predict_on_batch(images)
        return keras.tree.map_structure(lambda values: values[: len(images)], outputs)


def map_images(function, model, images):
    """Computes a function of a DeiT's backbone for all images, in batches that bound the memory.

    Args:
        function: Function of the `DeiTBackbone` and of images `(batch, height, width, 3)`. It returns a tensor.
        model: See `backbone_of`.
        images: See `image_batches`.

    Yields:
        NumPy arrays, the values of the function for one batch after the other.

    Raises:
        ValueError: If the model or the images are of another kind, or the images are not normalised.
    """
    backbone = backbone_of(model)
    record = getattr(model, "preprocessing", None) or Preprocessing()
    compute = BatchFunction(lambda batch: function(backbone, batch), backbone)
    size = max(1, min(BATCH_SIZE, ATTENTION_BYTES // _attention_bytes(backbone)))
    for batch in image_batches(images, size):
        check_normalized(batch, record.mean, record.std)
        yield compute.predict_on_batch(batch)


def backbone_of(model):
    """Finds the transformer inside a model.

    Args:
        model: A `DeiTBackbone`, a model that has one as `backbone`, such as `DeiT` and `DeiTClassifier`, or a `Distiller`
            with such a student.

    Returns:
        The `DeiTBackbone`.

    Raises:
        ValueError: If the model is another one, or merges tokens.
    """
    model = getattr(model, "student", model)
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, DeiTBackbone):
        raise ValueError(
            "The attention of a DeiT is needed: pass a keras_deit DeiT, DeiTClassifier or DeiTBackbone. Received: "
            f"{type(model).__name__}. Of a model that contains one of these, pass the part alone."
        )
    check_whole_tokens(model)
    return backbone


def image_batches(data, size):
    """Yields the images of any data that Keras takes.

    Args:
        data: An array `(images, height, width, 3)`; a tuple `(images, labels)` of arrays; or batches: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, such as `keras_deit.data.InputPipeline.evaluation_batches()` returns, or another
            iterable. A batch is images, a tuple that begins with images, or a dictionary with the key `image`.
        size: Largest number of images of a batch that is yielded.

    Yields:
        NumPy arrays `(batch, height, width, 3)`.

    Raises:
        ValueError: If a batch has another shape, there is none, or the batches have no end.
    """
    if is_endless(data):
        raise ValueError(
            "The batches of `InputPipeline.training_batches` have no end. Pass those of `evaluation_batches`, in which "
            "every image occurs once."
        )
    num_images = 0
    for batch in _batches(data):
        images = _images_of(batch)
        num_images += len(images)
        yield from (images[first : first + size] for first in range(0, len(images), size))
    if not num_images:
        raise ValueError("At least one image is needed. Received: none.")


def _batches(data):
    if isinstance(data, (tuple, dict)) or hasattr(data, "shape"):
        return [data]
    if isinstance(data, keras.utils.PyDataset):
        return map(data.__getitem__, range(data.num_batches))
    return data


def _images_of(batch):
    images = batch[0] if isinstance(batch, (tuple, list)) else batch
    images = images["image"] if isinstance(images, dict) else images
    images = concrete_values(images)
    if images.ndim != 4:
        raise ValueError(
            "Images must be an array (images, height, width, 3), or batches of such arrays. Received: "
            f"shape={images.shape}. Of a single image, pass `image[None]`."
        )
    return images


def _attention_bytes(backbone):
    """Bytes of the float32 attention maps of all blocks for one image."""
    return 4 * backbone.num_layers * backbone.num_heads * num_tokens(backbone) ** 2


def num_tokens(backbone):
    """Returns the number of prefix and patch tokens of a `DeiTBackbone`."""
    return backbone.num_prefix_tokens + int(np.prod(grid_of(backbone)))


def grid_of(backbone):
    """Returns the rows and columns of patches of a `DeiTBackbone`."""
    return tuple(side // backbone.patch_size for side in backbone.image_size)
