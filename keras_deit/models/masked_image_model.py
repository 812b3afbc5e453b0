"""The model that learns from images without labels, by filling in what was hidden of them."""

import types

import keras
from keras import ops

from keras_deit.layers import MaskPatches
from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.image_model import BackboneMixin, ImageModel, head_dtype


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiTMaskedImageModel(BackboneMixin, ImageModel):
    """Images with some patches hidden to whole images: pre-training without labels.

    A learned mask token takes the place of the hidden patches, and one linear layer turns every patch token into the pixels
    of its patch. `fit` on `(images, mask)` without `y` minimises the absolute error of the hidden pixels (L1); with `y` it
    minimises the compiled loss, as every Keras model. (Keras hands no `sample_weight` on where there is no `y`.) Afterwards
    `backbone` is what a `keras_deit.DeiT` can go on from.

    Args:
        dtype: Dtype policy; the pixels come in float32 all the same.
        name, trainable: As for every Keras model.
        **backbone_arguments: Constructor arguments of `keras_deit.DeiTBackbone`.

    Input shape:
        A pair: images `(batch, height, width, 3)`, channels-last RGB, normalised; and a mask `(batch, N)` of booleans,
        patches row by row, True = masked. `keras_deit.data.random_masks` draws masks.

    Output shape:
        `(batch, height, width, 3)`, pixels normalised as the images.

    Example:

    >>> import numpy as np, keras_deit as kd
    >>> model = kd.DeiTMaskedImageModel.from_variant("deit_ti", image_size=32, patch_size=8, num_layers=1)
    >>> model.compile("adamw")
    >>> images = np.ones((4, 32, 32, 3), "float32")
    >>> history = model.fit((images, kd.data.random_masks(4, grid=(4, 4))), verbose=0)
    >>> list(history.history)
    ['loss']

    Reference:
        Xie et al., 2021, SimMIM (arXiv 2111.09886); the shape is that of transformers' `DeiTForMaskedImageModeling`.
    """

    has_classes = False
    ignored_checkpoint_prefixes = ("head",)
    fresh_beside_checkpoints = ("mask_patches/", "decoder/")

    def __init__(self, dtype=None, name="deit_masked_image_model", trainable=True, **backbone_arguments):
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
        self._parts = types.SimpleNamespace(backbone=backbone)  # untracked: its layers are this model's

    @property
    def backbone(self):
        """The `DeiTBackbone`."""
        return self._parts.backbone

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean absolute error of the masked pixels where there is no `y`; otherwise the compiled loss."""
        if y is not None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        images, mask = keras.tree.flatten(
            x
        )  # a dictionary's values come in the order of their names, which is this one
        rows, columns = (side // self.backbone.patch_size for side in self.image_size)
        weights = ops.reshape(ops.cast(mask, "float32"), (-1, rows, columns))
        for axis in (1, 2):
            weights = ops.repeat(weights, self.backbone.patch_size, axis=axis)
        return keras.losses.MeanAbsoluteError(reduction="mean_with_sample_weight")(images, y_pred, weights)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics, which need `y`."""
        if y is None and (self.loss is not None or self._compile_metrics is not None):
            raise ValueError(
                "A compiled loss or metric needs `y`, the images that should come out: `fit((images, masks), images)`. "
                "Without `y` the absolute error of the masked pixels is minimised; compile with an optimizer alone."
            )
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_config(self):
        return {**self.backbone_config(), **super().get_config()}


def _pixels(features, rows, columns, size):
    """`(batch, rows, columns, 3 * size²)`, channels first within a patch as PyTorch has them, to images."""
    patches = ops.reshape(features, (-1, rows, columns, 3, size, size))
    patches = ops.transpose(patches, (0, 1, 4, 2, 5, 3))  # (batch, rows, size, columns, size, 3)
    return ops.reshape(patches, (-1, rows * size, columns * size, 3))
