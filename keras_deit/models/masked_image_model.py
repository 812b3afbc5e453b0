"""The model for pre-training without labels: it reconstructs masked patches of images."""

import types

import keras
from keras import ops

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.layers import MaskPatches
from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.image_model import BackboneMixin, ImageModel, head_dtype


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiTMaskedImageModel(BackboneMixin, ImageModel):
    """Images with masked patches to reconstructed images: pre-training without labels.

    A learned mask token replaces the masked patches. One linear layer decodes every patch token to the pixels of its
    patch. `fit` on `(images, mask)` without `y` minimises the mean absolute error of the masked pixels (L1), and ignores
    `sample_weight`. With `y`, `fit` minimises the compiled loss, as for every Keras model. After pre-training, copy
    the weights of `backbone` to the backbone of a `keras_deit.DeiT`.

    Args:
        dtype: Dtype policy; None means the global one. The pixels are float32 under every policy.
        name, trainable: As for every `keras.Model`.
        preprocessing: As for `keras_deit.DeiT`.
        **backbone_arguments: Constructor arguments of `keras_deit.DeiTBackbone`.

    Input shape:
        A pair: normalised channels-last RGB images `(batch, height, width, 3)`, and a boolean mask `(batch, N)` of the N
        patches, row by row. True, or any number except 0, means masked. `keras_deit.data.random_masks` draws
        masks.

    Output shape:
        `(batch, height, width, 3)`: the reconstructed images, normalised like the input.

    Raises:
        ValueError: If a backbone argument is out of range, or images or mask have another shape.

    Example:

    >>> import numpy as np, keras_deit as kd
    >>> model = kd.DeiTMaskedImageModel.from_variant("deit_ti", image_size=32, patch_size=8, num_layers=1)
    >>> model.compile("adamw")
    >>> images = np.ones((4, 32, 32, 3), "float32")
    >>> history = model.fit((images, kd.data.random_masks(4, grid=(4, 4))), verbose=0)
    >>> list(history.history)
    ['loss']

    Reference:
        Xie et al., 2021, SimMIM (arXiv 2111.09886); the architecture is that of transformers'
        `DeiTForMaskedImageModeling`.
    """

    has_classes = False
    recorded_arguments = ("preprocessing",)
    ignored_checkpoint_prefixes = ("head", "head_dist")
    fresh_variable_prefixes = ("mask_patches", "decoder")

    def __init__(
        self, dtype=None, name="deit_masked_image_model", trainable=True, preprocessing=None, **backbone_arguments
    ):
        preprocessing = Preprocessing.of(preprocessing)
        policy = keras.dtype_policies.get(dtype)
        backbone = DeiTBackbone(dtype=policy, **backbone_arguments)
        rows, columns = (side // backbone.patch_size for side in backbone.image_size)
        images = keras.Input(backbone.input_shape[1:], name="images", dtype=policy.variable_dtype)
        mask = keras.Input((rows * columns,), name="mask", dtype="bool")

        tokens = backbone.get_layer("patch_embedding")(images)
        tokens = MaskPatches(dtype=policy, name="mask_patches")(tokens, mask)
        tokens = backbone.get_layer("prefix_tokens")(tokens)
        for block in backbone.blocks:
            tokens = block(tokens)
        features = backbone.as_map(backbone.get_layer("norm")(tokens))
        decoder = keras.layers.Conv2D(
            3 * backbone.patch_size**2,
            1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            data_format="channels_last",
            dtype=head_dtype(policy),
            name="decoder",
        )
        pixels = _pixels(decoder(features), rows, columns, backbone.patch_size)
        super().__init__([images, mask], pixels, dtype=policy, name=name, trainable=trainable)
        self.preprocessing = preprocessing
        self._untracked = types.SimpleNamespace(backbone=backbone)  # Keras already tracks its layers as this model's

    @property
    def backbone(self):
        """The `DeiTBackbone` of the model."""
        return self._untracked.backbone

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Computes the loss.

        Args:
            x: The inputs, `(images, mask)` or a dictionary with both.
            y: Target images; None means that the masked pixels of the input are the targets.
            y_pred: Output of the model.
            sample_weight: Weights of the examples, ignored without `y`.
            training: Whether the model is in training mode.

        Returns:
            The mean absolute error of the masked pixels without `y`; the compiled loss with `y`. A scalar.
        """
        if y is not None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        images, mask = keras.tree.flatten(x)  # a dictionary is flattened in alphabetical order
        rows, columns = (side // self.backbone.patch_size for side in self.image_size)
        weights = ops.reshape(ops.cast(ops.cast(mask, "bool"), "float32"), (-1, rows, columns))
        for axis in (1, 2):
            weights = ops.repeat(weights, self.backbone.patch_size, axis=axis)
        return keras.losses.MeanAbsoluteError(reduction="mean_with_sample_weight")(images, y_pred, weights)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Computes the compiled metrics.

        Args:
            x, y, y_pred, sample_weight: As for `compute_loss`.

        Returns:
            Dictionary from names to values.

        Raises:
            ValueError: If a loss or metrics were compiled and there is no `y`.
        """
        has_metrics = any(metric.name != "loss" for metric in self.metrics)
        if y is None and (self.loss is not None or has_metrics):
            raise ValueError(
                "A compiled loss or metric needs target images as `y`: `fit((images, masks), images)`. To minimise the "
                "absolute error of the masked pixels, compile with an optimizer alone and omit `y`."
            )
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def kept_settings(self):
        """Returns what a weights file keeps beside the variables, see `keras_deit.runtime.kept_settings`."""
        return self.backbone.kept_settings()

    def get_config(self):
        return {**self.record_config(), **self.backbone_config(), **super().get_config()}


def _pixels(features, rows, columns, size):
    """Rearranges features `(batch, rows, columns, 3 * size²)` to images; within a patch, channels come first."""
    patches = ops.reshape(features, (-1, rows, columns, 3, size, size))
    patches = ops.transpose(patches, (0, 1, 4, 2, 5, 3))  # (batch, rows, size, columns, size, 3)
    return ops.reshape(patches, (-1, rows * size, columns * size, 3))
