"""The function of a DeiT that is converted to LiteRT: the logits of the model by fewer operations."""

import keras
import numpy as np

from keras_deit.export.serving import used_tokens
from keras_deit.fusion import fuse
from keras_deit.models.classifier import LATE_FUSIONS


def deit_function(classifier, processor=None):
    """Returns a function of TensorFlow that computes what a classifier computes, with constants that are folded.

    What does not depend on the image is computed once, in float64, and becomes part of a matrix product:

    - The scale and the shift of a layer norm are part of the dense layer after it; LayerScale and the factor of the
      attention's scores are part of the dense layer before it.
    - A layer norm subtracts the mean of the channels. The projections that write into the residual stream subtract the mean
      from their own outputs instead, so that the mean of every token is zero and the layer norm only divides.
    - The normalisation of pixels is part of the patch embedding.

    The function runs for batches of a fixed size. No tensor has more than four dimensions.

    Args:
        classifier: A built `keras_deit.DeiTClassifier` on the TensorFlow backend that computes in float32, without LoRA and
            not quantized.
        processor: The `keras_deit.ImageProcessor` that normalises the images, if they are pixels in 0..255; None if they are
            normalised.

    Returns:
        The function from a float32 tensor `(batch, height, width, 3)` to the float32 logits `(batch, classes)`.

    Reference:
        Ashkboos et al., 2024 (arXiv 2401.15024), section 3: the mean of a layer norm folded into the layers before it.
    """
    backbone = classifier.backbone

    def logits(images):
        tokens = _embed(backbone, images, processor)  # (batch * tokens, hidden_dim)
        for block in backbone.blocks:
            tokens = _encoder_block(block, tokens, batch_size=images.shape[0])
        return _logits(classifier, tokens, batch_size=images.shape[0])

    return logits


def _embed(backbone, images, processor):
    """Computes the tokens before the first block, each of mean zero."""
    import tensorflow as tf

    patch_embedding, prefix_tokens = backbone.get_layer("patch_embedding"), backbone.get_layer("prefix_tokens")
    kernel, bias = _float64(patch_embedding.kernel), _float64(patch_embedding.bias)
    if processor is not None:
        scale, mean = 1 / (255 * np.asarray(processor.std)), 255 * np.asarray(processor.mean)
        kernel = kernel * scale[:, None]  # (patch_size, patch_size, 3, hidden_dim)
        bias = bias - np.tensordot(mean, kernel.sum(axis=(0, 1)), axes=1)
    batch_size, size = images.shape[0], patch_embedding.patch_size
    rows, columns = (side // size for side in backbone.image_size)
    strips = tf.reshape(images, (batch_size * rows, size, columns, size * 3))
    patches = tf.reshape(tf.transpose(strips, (0, 2, 1, 3)), (batch_size * rows * columns, size * size * 3))
    tokens = _dense(patches, *_centred(kernel.reshape(size * size * 3, -1), bias))
    prefix, positions = _prefix_and_positions(prefix_tokens)
    tokens = tf.reshape(tokens, (batch_size, rows * columns, -1)) + _constant(positions)
    tokens = tf.concat([_constant(np.repeat(prefix, batch_size, axis=0)), tokens], axis=1)
    return tf.reshape(tokens, (-1, backbone.hidden_dim))


def _prefix_and_positions(layer):
    """Returns the prefix tokens with their positions, and the positions of the patches; each of mean zero."""
    tokens = [layer.class_token, layer.distillation_token] if layer.distilled else [layer.class_token]
    prefix, positions = np.concatenate([_float64(token) for token in tokens], axis=1), _float64(layer.positions)
    if layer.prefix_positions:
        prefix, positions = prefix + positions[:, : len(tokens)], positions[:, len(tokens) :]
    return _centred(prefix, positions)


def _encoder_block(block, tokens, batch_size):
    import tensorflow as tf

    branch = _attention(block, _normalise(tokens, block.attention_norm.epsilon), batch_size)
    tokens = tokens + _project_branch(block, "attention", block.attention.projection, branch)
    branch = _normalise(tokens, block.mlp_norm.epsilon)
    branch = _dense(branch, *_after_norm(block.mlp_norm, *_weights(block.mlp.expansion)))
    branch = tf.nn.gelu(branch, approximate=False)
    return tokens + _project_branch(block, "mlp", block.mlp.reduction, branch)


def _attention(block, tokens, batch_size):
    import tensorflow as tf

    heads, head_dim = block.attention.num_heads, block.attention.head_dim
    kernel, bias = _after_norm(block.attention_norm, *_weights(block.attention.qkv))
    factors = (head_dim**-0.5, 1, 1)  # of queries, keys and values
    parts = zip(factors, np.split(kernel, 3, axis=1), np.split(bias, 3), strict=True)
    projected = [_dense(tokens, factor * kernel, factor * bias) for factor, kernel, bias in parts]
    by_token = [tf.reshape(part, (batch_size, -1, heads, head_dim)) for part in projected]
    query, key, value = [tf.transpose(part, (0, 2, 1, 3)) for part in by_token]  # (batch, heads, tokens, head_dim)
    attention = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
    mixed = tf.transpose(tf.matmul(attention, value), (0, 2, 1, 3))
    return tf.reshape(mixed, (-1, heads * head_dim))


def _project_branch(block, name, layer, branch):
    """Applies the last dense layer of a branch, with LayerScale; the outputs have mean zero."""
    kernel, bias = _weights(layer)
    if block.layer_scale_init is not None:
        gamma = _float64(getattr(block, f"{name}_scale").gamma)
        kernel, bias = kernel * gamma, bias * gamma
    return _dense(branch, *_centred(kernel, bias))


def _logits(classifier, tokens, batch_size):
    import tensorflow as tf

    backbone, norm = classifier.backbone, classifier.backbone.get_layer("norm")
    tokens = tf.reshape(tokens, (batch_size, -1, backbone.hidden_dim))[:, : backbone.num_prefix_tokens]
    tokens = _normalise(tokens, norm.epsilon) * _constant(_float64(norm.gamma)) + _constant(_float64(norm.beta))
    rows = tf.split(
        tokens, backbone.num_prefix_tokens, axis=1
    )  # XNNPACK, LiteRT's CPU delegate, has no slice of one row
    rows = [tf.reshape(row, (batch_size, backbone.hidden_dim)) for row in rows]
    embeddings = {"class": rows[0], "distillation": rows[-1]}
    if classifier.fusion in LATE_FUSIONS:
        tokens = list(embeddings.values())
        joined = tf.concat(tokens, axis=-1) if classifier.fusion == "concat" else tf.add_n(tokens)
        return _dense(joined, *_weights(classifier.get_layer("fusion_head")))
    used = used_tokens(classifier)
    logits = [_dense(embeddings[token], *_weights(classifier.deit.get_layer(f"{token}_head"))) for token in used]
    return logits[0] if classifier.fusion in used else fuse(*logits, fusion=classifier.fusion)


def _normalise(tokens, epsilon):
    """Divides tokens of mean zero by their standard deviation."""
    import tensorflow as tf

    variance = tf.reduce_mean(tokens * tokens, axis=-1, keepdims=True)
    return tokens * tf.math.rsqrt(variance + epsilon)


def _after_norm(norm, kernel, bias):
    """Returns the weights of a dense layer that takes the tokens before the scale and the shift of a layer norm."""
    return _float64(norm.gamma)[:, None] * kernel, bias + _float64(norm.beta) @ kernel


def _centred(*values):
    return [value - value.mean(axis=-1, keepdims=True) for value in values]


def _dense(tokens, kernel, bias):
    import tensorflow as tf

    return tf.matmul(tokens, _constant(kernel)) + _constant(bias)


def _weights(layer):
    return _float64(layer.kernel), _float64(layer.bias)


def _constant(values):
    import tensorflow as tf

    return tf.constant(values.astype("float32"))


def _float64(variable):
    import tensorflow as tf

    with tf.init_scope():  # outside of the graph that is traced
        return keras.ops.convert_to_numpy(variable).astype("float64")
