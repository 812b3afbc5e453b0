"""A convnet of keras.applications as a model of this package: a teacher with the classes of a dataset."""

import contextlib

import keras
import numpy as np
from keras import layers, ops

from keras_deit.choices import ARCHITECTURES
from keras_deit.imaging.applications import find_preprocessing
from keras_deit.imaging.class_names import match_classes
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.imaging.sizes import height_and_width
from keras_deit.models.image_model import ImageModel, check_class_names, classification_head
from keras_deit.runtime.shorten import shorten
from keras_deit.weights.download import DownloadError


@keras.saving.register_keras_serializable(package="keras_deit")
class ApplicationInput(layers.Layer):
    """Turns normalised images into what a model of keras.applications was trained on.

    Args:
        architecture: Name of a model of keras.applications.
        mean, std: Normalisation of the images, of pixels in 0..1.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, architecture, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        self.mean = tuple(mean)
        self.std = tuple(std)
        self._preprocess = find_preprocessing(architecture)

    def call(self, images):
        """Converts images `(batch, height, width, 3)`."""
        mean, std = (ops.convert_to_tensor(values, dtype=images.dtype) for values in (self.mean, self.std))
        return self._preprocess((images * std + mean) * 255)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the output, which is that of the input."""
        return input_shape

    def get_config(self):
        return {"architecture": self.architecture, "mean": self.mean, "std": self.std, **super().get_config()}


@keras.saving.register_keras_serializable(package="keras_deit")
class ApplicationClassifier(ImageModel):
    """A convnet of keras.applications with a fresh head, on images normalised as all models of this package take them.

    The preparation that the convnet was trained with, its `preprocess_input`, is part of the model.

    Args:
        architecture: Name of a model of keras.applications, such as `"ResNet50"`.
        num_classes: Number of classes.
        image_size: Side of the images in pixels, or `(height, width)`; None means that of the published weights.
        dtype: Dtype policy; None means the global one. The logits are float32 under every policy.
        name, trainable: As for every `keras.Model`.
        class_names, preprocessing: As for `keras_deit.DeiT`.
        multi_label: Whether an image may have several labels.
        weights: `"imagenet"` for Keras's weights, which are downloaded once, or None for random ones.

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB images, normalised by the mean and standard deviation of
        `preprocessing`, or by ImageNet's, of pixels in 0..1.

    Output shape:
        `(batch, num_classes)`, float32 logits.

    Raises:
        OSError: If the weights cannot be downloaded.
        ValueError: If there is no such architecture, or the images are too small for it.

    Example:

    >>> from keras_deit.models.application import ApplicationClassifier
    >>> model = ApplicationClassifier("MobileNetV3Small", num_classes=10, image_size=32)
    >>> tuple(model(keras.ops.ones((1, 32, 32, 3))).shape)
    (1, 10)
    """

    family = "applications"
    quantization_modes = ()  # Keras quantizes no convolutions
    recorded_arguments = ("class_names", "preprocessing", "multi_label")

    def __init__(
        self,
        architecture,
        num_classes=1000,
        image_size=None,
        dtype=None,
        name="application",
        trainable=True,
        class_names=None,
        preprocessing=None,
        multi_label=False,
        weights=None,
    ):
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"`architecture` must be a model of keras.applications: {', '.join(ARCHITECTURES)}. Received: "
                f"architecture={architecture!r}"
            )
        class_names = check_class_names(class_names, num_classes)
        preprocessing = Preprocessing.of(preprocessing)
        record = preprocessing or Preprocessing()
        policy = keras.dtype_policies.get(dtype)
        shape = (*height_and_width(image_size or ARCHITECTURES[architecture]), 3)
        images = keras.Input(shape, name="images", dtype=policy.variable_dtype)
        pixels = ApplicationInput(architecture, record.mean, record.std, dtype=policy.variable_dtype, name="pixels")(
            images
        )
        features = _features(architecture, shape, policy, weights)
        logits = classification_head(num_classes, policy, "head")(features(pixels))
        super().__init__(images, logits, dtype=policy, name=name, trainable=trainable)
        self.architecture = architecture
        self.num_classes = num_classes
        self.class_names = class_names
        self.preprocessing = preprocessing
        self.multi_label = bool(multi_label)
        self.features = features

    @property
    def image_size(self):
        """Size of the images, `(height, width)` in pixels."""
        return tuple(self.input_shape[1:3])

    def take_weights(self, model):
        """Takes the weights of a model of the same architecture; those of the head only for the same classes, by name.

        Args:
            model: An `ApplicationClassifier`. Models without class names are taken to have the same classes in the same
                order if there are as many.

        Returns:
            Tuple of sentences that name what has fresh or reordered weights.

        Raises:
            ValueError: If the architecture is another one.
        """
        if model.architecture != self.architecture:
            raise ValueError(
                f"Expected the weights of a {self.architecture}. Received: those of a {model.architecture}."
            )
        self.features.set_weights(model.features.get_weights())
        if model.num_classes != self.num_classes:
            return (f"The head is randomly initialised: {self.num_classes} classes instead of {model.num_classes}.",)
        return self._take_head(model)

    def _take_head(self, model):
        positions, notes = np.arange(self.num_classes), ()
        if self.class_names and model.class_names:
            positions = match_classes(model.class_names, self.class_names)
        if positions is None:
            lists = f"{shorten(model.class_names)}, and not {shorten(self.class_names)}"
            return (f"The head is randomly initialised: its classes were {lists}.",)
        if np.any(positions != np.arange(self.num_classes)):
            notes = ("The head is reordered: its classes were in another order.",)
        kernel, bias = model.get_layer("head").get_weights()
        self.get_layer("head").set_weights([kernel[:, positions], bias[positions]])
        return notes

    def get_config(self):
        return {
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "image_size": self.image_size,
            **self.record_config(),
            **super().get_config(),
        }


def _features(architecture, shape, policy, weights):
    """The convnet without its head: preprocessed images to `(batch, channels)`."""
    build = getattr(keras.applications, architecture)
    with _global_policy(policy):
        try:
            return build(include_top=False, pooling="avg", weights=weights, input_shape=shape, name="features")
        except Exception as error:
            if type(error) is not Exception:  # the class that Keras raises if a download fails
                raise
            raise DownloadError(
                f"The ImageNet weights of {architecture} could not be downloaded: {error}. Weights that were downloaded "
                "once are found without a network."
            ) from error


@contextlib.contextmanager
def _global_policy(policy):
    """Makes a dtype policy the global one, because the models of keras.applications take none."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
