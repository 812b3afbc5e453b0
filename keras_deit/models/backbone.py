"""The transformer without heads."""

import keras
import numpy as np

from keras_deit.imaging.sizes import height_and_width
from keras_deit.layers import EncoderBlock, PatchEmbedding, PrefixTokens, TokenNorm
from keras_deit.layers.composite import run_layer
from keras_deit.layers.lora import lora_layers
from keras_deit.layers.merging_encoder import MergingEncoder
from keras_deit.models.image_model import ImageModel
from keras_deit.runtime.numpy_numbers import python_number
from keras_deit.weights.names import MASKED_IMAGE_PREFIXES

DROP_PATH_SCHEDULES = ("linear", "constant")


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiTBackbone(ImageModel):
    """Images to tokens: patch embedding, prefix tokens, encoder blocks and the final layer norm.

    Args:
        image_size: Side of the images in pixels, or `(height, width)`. Both sides must be divisible by `patch_size`.
        patch_size: Side of a patch in pixels.
        hidden_dim: Length of a token.
        num_layers: Number of encoder blocks.
        num_heads: Number of attention heads; must divide `hidden_dim`.
        intermediate_dim: Width inside the MLPs; None means four times `hidden_dim`.
        distilled: Whether there is a distillation token beside the class token.
        prefix_positions: Whether the class and distillation tokens have position embeddings (DeiT: yes, DeiT III: no).
        layer_scale_init: Initial value of LayerScale (DeiT III: 1e-4); None means no LayerScale (DeiT).
        drop_path_rate: Probability of dropping a residual branch in training, a float in [0, 1), for the last block.
        drop_path_schedule: Probabilities of the other blocks. `"linear"`: rising from 0 at the first block (DeiT);
            `"constant"`: the same for every block (DeiT III).
        layer_norm_epsilon: Float added to the variance in the layer norms.
        frozen_blocks: Number of the first blocks that are not trained, together with the patch embedding and the tokens;
            0 freezes only the patch embedding and the tokens, None means that everything is trained. `freeze` and the
            flags `trainable` of the layers change this later.
        dtype: Dtype policy, for example `"mixed_bfloat16"`; None means the global one.
        name, trainable: As for every `keras.Model`.

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB images, normalised by mean and standard deviation of pixels in 0..1.

    Output shape:
        A dictionary of the tokens after the final layer norm, for P prefix tokens and N patches: `tokens`
        `(batch, P + N, hidden_dim)`, `class_token` `(batch, hidden_dim)`, `distillation_token` `(batch, hidden_dim)`
        (only with `distilled=True`) and `patch_tokens` `(batch, N, hidden_dim)`.

    Raises:
        ValueError: If `patch_size` does not divide the image, `num_heads` does not divide `hidden_dim`, or a value is out
            of range.

    Example:

    >>> import keras, keras_deit as kd
    >>> backbone = kd.DeiTBackbone.from_variant("deit_ti", num_layers=1)
    >>> tuple(backbone(keras.ops.ones((1, 224, 224, 3)))["patch_tokens"].shape)
    (1, 196, 192)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4; Touvron et al., 2022 (arXiv 2204.07118), section 3.
    """

    has_classes = False
    ignored_checkpoint_prefixes = ("head", "head_dist", *MASKED_IMAGE_PREFIXES)

    def __init__(
        self,
        image_size=224,
        patch_size=16,
        hidden_dim=768,
        num_layers=12,
        num_heads=12,
        intermediate_dim=None,
        distilled=True,
        prefix_positions=True,
        layer_scale_init=None,
        drop_path_rate=0.0,
        drop_path_schedule="linear",
        layer_norm_epsilon=1e-6,
        frozen_blocks=None,
        dtype=None,
        name="backbone",
        trainable=True,
    ):
        height, width = height_and_width(image_size)
        patch_size, hidden_dim, num_layers, num_heads, intermediate_dim = map(
            python_number, (patch_size, hidden_dim, num_layers, num_heads, intermediate_dim)
        )
        layer_scale_init, drop_path_rate, layer_norm_epsilon = map(
            python_number, (layer_scale_init, drop_path_rate, layer_norm_epsilon)
        )
        distilled, prefix_positions = map(python_number, (distilled, prefix_positions))
        intermediate_dim = intermediate_dim or 4 * hidden_dim
        policy = keras.dtype_policies.get(dtype)
        images = keras.Input((height, width, 3), name="images", dtype=policy.variable_dtype)

        patch_embedding = PatchEmbedding(hidden_dim, patch_size, dtype=policy, name="patch_embedding")
        grid = (height // patch_size, width // patch_size)
        prefix_tokens = PrefixTokens(distilled, prefix_positions, grid, dtype=policy, name="prefix_tokens")
        blocks = [
            EncoderBlock(
                num_heads,
                intermediate_dim,
                drop_path_rate=rate,
                layer_scale_init=layer_scale_init,
                layer_norm_epsilon=layer_norm_epsilon,
                dtype=policy,
                name=f"block_{index}",
            )
            for index, rate in enumerate(_drop_path_rates(drop_path_rate, num_layers, drop_path_schedule), start=1)
        ]
        norm = TokenNorm(epsilon=layer_norm_epsilon, dtype=policy, name="norm")

        tokens = prefix_tokens(patch_embedding(images))
        for block in blocks:
            tokens = block(tokens)
        outputs = _split(norm(tokens), distilled)
        super().__init__(images, outputs, dtype=policy, name=name, trainable=trainable)

        self.image_size = (height, width)
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.distilled = distilled
        self.prefix_positions = prefix_positions
        self.layer_scale_init = layer_scale_init
        self.drop_path_rate = drop_path_rate
        self.drop_path_schedule = drop_path_schedule
        self.layer_norm_epsilon = layer_norm_epsilon
        if frozen_blocks is not None and trainable:
            self.freeze(frozen_blocks)

    @property
    def num_prefix_tokens(self):
        """Number of prefix tokens, 2 with a distillation token and 1 without."""
        return 2 if self.distilled else 1

    @property
    def blocks(self):
        """List of the encoder blocks, from the first to the last."""
        return [self.get_layer(f"block_{index}") for index in range(1, self.num_layers + 1)]

    def call(self, inputs, training=None, mask=None):
        """Computes the tokens; on PyTorch without Keras's preparation of the call of each block, see `run_layer`."""
        if keras.backend.backend() != "torch":
            return super().call(inputs, training=training, mask=mask)
        (images,) = keras.tree.flatten(inputs)
        tokens = self.get_layer("prefix_tokens")(self.get_layer("patch_embedding")(images))
        for block in self.blocks:
            tokens = run_layer(self, block, tokens, training=training)
        return _split(run_layer(self, self.get_layer("norm"), tokens), self.distilled)

    def freeze(self, up_to):
        """Freezes the patch embedding, the tokens and the first blocks. The later blocks and the final norm are trained.

        The later layers are trained also if `trainable = False` has frozen the whole backbone before. Frozen layers stay
        frozen when the model is saved and loaded. Like every change of `trainable`, the call takes effect at the next
        `compile`.

        Args:
            up_to: Number of the last frozen block, counted from 1; 0 freezes only the patch embedding and the tokens, None
                unfreezes everything.

        Raises:
            ValueError: If there is no such block, or a layer has LoRA.

        Example:

        >>> backbone = DeiTBackbone.from_variant("deit_ti", num_layers=2)
        >>> backbone.freeze(up_to=1)
        >>> backbone.trainable_variables[0].path.split("/")[0]
        'block_2'
        """
        up_to = python_number(up_to)
        if up_to is not None and not 0 <= up_to <= self.num_layers:
            raise ValueError(f"`up_to` must lie in 0..{self.num_layers}, the number of blocks. Received: up_to={up_to}")
        if lora_layers(self):
            raise ValueError(
                "The model has LoRA, and `freeze` would train its kernels: freeze before `keras_deit.lora.enable`, or begin "
                "again with the model that `keras_deit.lora.merge` returns."
            )
        first = [self.get_layer("patch_embedding"), self.get_layer("prefix_tokens"), *self.blocks[:up_to]]
        self.trainable = True
        for layer in self.layers:  # on TensorFlow, the flag of the model alone left layers frozen
            layer.trainable = up_to is None or layer not in first

    def features(self, images, blocks=(3, 6, 9, 12), norm=False):
        """Computes feature maps after some of the blocks, for example for detection or segmentation.

        Args:
            images: Normalised images `(batch, height, width, 3)`; or a `keras.Input` of that shape, to build a model on.
            blocks: Numbers of the blocks, counted from 1.
            norm: Whether the final layer norm is applied to each map.

        Returns:
            List of feature maps `(batch, rows, columns, hidden_dim)`, the patch tokens after each block in the order of
            `blocks`.

        Raises:
            ValueError: If there is no such block.

        Example:

        >>> import keras
        >>> backbone = DeiTBackbone.from_variant("deit_ti", num_layers=2)
        >>> images = keras.Input((224, 224, 3))
        >>> maps = backbone.features(images, blocks=(1, 2))
        >>> masks = keras.layers.Conv2D(4, 1)(keras.layers.Concatenate()(maps))
        >>> keras.Model(images, masks).output_shape
        (None, 14, 14, 4)
        """
        if not blocks or not all(1 <= number <= self.num_layers for number in blocks):
            raise ValueError(f"`blocks` must be numbers in 1..{self.num_layers}. Received: blocks={tuple(blocks)}")
        tokens = self.get_layer("prefix_tokens")(self.get_layer("patch_embedding")(images))
        after = {}
        for number, block in enumerate(self.blocks[: max(blocks)], start=1):
            tokens = block(tokens)
            after[number] = tokens
        return [self.as_map(self.get_layer("norm")(after[number]) if norm else after[number]) for number in blocks]

    def as_map(self, tokens):
        """Arranges the patch tokens in rows and columns.

        Args:
            tokens: Tensor of shape `(batch, P + N, hidden_dim)`; the P prefix tokens are left out.

        Returns:
            Tensor of shape `(batch, rows, columns, hidden_dim)`.
        """
        grid = [side // self.patch_size for side in self.image_size]
        return keras.ops.reshape(tokens[:, self.num_prefix_tokens :], (-1, *grid, self.hidden_dim))

    def call_with_attention(self, images, training=False):
        """Calls the model and returns the attention map of every block as well.

        Args:
            images: Normalised images `(batch, height, width, 3)`.
            training: Whether residual branches may be dropped.

        Returns:
            The outputs of the model, and a list with one float32 map `(batch, heads, P + N, P + N)` per block.
        """
        _, maps, tokens = zip(*self.iter_blocks(images, training), strict=True)
        return _split(self.get_layer("norm")(tokens[-1]), self.distilled), list(maps)

    def iter_blocks(self, images, training=False, attention_offsets=None):
        """Computes one encoder block after the other, so that not all attention maps need to be kept.

        Args:
            images: Normalised images `(batch, height, width, 3)`.
            training: Whether residual branches may be dropped.
            attention_offsets: List with a tensor `(batch, heads, P + N, P + N)` for each block that is added to its map, see
                `keras_deit.layers.MultiHeadSelfAttention`; None means none.

        Yields:
            For each block the tokens `(batch, P + N, hidden_dim)` that it receives, its float32 attention map
            `(batch, heads, P + N, P + N)`, and the tokens that it returns.
        """
        tokens = self.get_layer("prefix_tokens")(self.get_layer("patch_embedding")(images))
        for index, block in enumerate(self.blocks):
            options = {} if attention_offsets is None else {"attention_offset": attention_offsets[index]}
            inputs = tokens
            tokens, attention = block(inputs, training=training, return_attention=True, **options)
            yield inputs, attention, tokens

    def build_with_token_merging(self, images, token_merging):
        """Builds the graph of the model with similar tokens merged in every block, on the same variables.

        Args:
            images: A `keras.Input` of normalised images `(height, width, 3)`.
            token_merging: Number of tokens that each block merges, see `keras_deit.layers.merging_encoder.MergingEncoder`.

        Returns:
            The symbolic outputs of the model, with fewer patch tokens.
        """
        tokens = self.get_layer("prefix_tokens")(self.get_layer("patch_embedding")(images))
        encoder = MergingEncoder(
            self.blocks, token_merging, self.num_prefix_tokens, dtype=self.dtype_policy, name="merging_encoder"
        )
        return _split(self.get_layer("norm")(encoder(tokens)), self.distilled)

    def attention_maps(self, images):
        """Computes the attention map of every block at inference.

        Args:
            images: Normalised images `(batch, height, width, 3)`.

        Returns:
            List with one float32 map `(batch, heads, P + N, P + N)` per block; each row sums to 1.
        """
        return self.call_with_attention(images)[1]

    def kept_settings(self):
        """Returns what a weights file keeps beside the variables, see `keras_deit.runtime.kept_settings`."""
        has_layer_scale = self.layer_scale_init is not None
        return {"num_layers": self.num_layers, "num_heads": self.num_heads, "layer_scale": has_layer_scale}

    def get_config(self):
        return {
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "distilled": self.distilled,
            "prefix_positions": self.prefix_positions,
            "layer_scale_init": self.layer_scale_init,
            "drop_path_rate": self.drop_path_rate,
            "drop_path_schedule": self.drop_path_schedule,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            **super().get_config(),
        }


def _split(tokens, distilled):
    outputs = {"tokens": tokens, "class_token": tokens[:, 0]}
    if distilled:
        outputs["distillation_token"] = tokens[:, 1]
    outputs["patch_tokens"] = tokens[:, 2 if distilled else 1 :]
    return outputs


def _drop_path_rates(rate, num_layers, schedule):
    if num_layers < 1:
        raise ValueError(f"`num_layers` must be positive. Received: num_layers={num_layers}")
    if schedule not in DROP_PATH_SCHEDULES:
        raise ValueError(f"`drop_path_schedule` must be one of {DROP_PATH_SCHEDULES}. Received: {schedule!r}")
    if schedule == "constant":
        return [rate] * num_layers
    return [float(value) for value in np.linspace(0.0, rate, num_layers)]
