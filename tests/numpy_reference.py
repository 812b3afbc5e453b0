"""A vision transformer in NumPy and float64, written from the papers' formulas, without Keras."""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=["float64"])


def gelu(values):
    """x · Φ(x), where Φ is the normal distribution function."""
    return values * 0.5 * (1 + _erf(values / math.sqrt(2)))


def log_softmax(logits):
    """Logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits):
    """Softmax over the last axis."""
    return np.exp(log_softmax(logits))


def layer_norm(tokens, weights, epsilon):
    """Normalises over the last axis."""
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * weights["gamma"] + weights["beta"]


def dense(inputs, weights):
    """A linear layer."""
    return inputs @ weights["kernel"] + weights["bias"]


def patch_embedding(images, weights):
    """A convolution whose stride is the kernel size, one window after the other."""
    kernel, bias = weights["kernel"], weights["bias"]
    size = kernel.shape[0]
    _, height, width, _ = images.shape
    windows = [
        np.einsum("bhwc,hwcd->bd", images[:, top : top + size, left : left + size], kernel) + bias
        for top in range(0, height, size)
        for left in range(0, width, size)
    ]
    return np.stack(windows, axis=1)  # (batch, patches, hidden_dim)


def attention(tokens, weights, num_heads):
    """Self-attention, one head after the other: outputs, and the map `(batch, heads, tokens, tokens)`."""
    qkv = dense(tokens, subweights(weights, "qkv"))
    width = tokens.shape[-1]
    head_dim = width // num_heads
    heads, maps = [], []
    for head in range(num_heads):
        query, key, value = (
            qkv[..., which * width + head * head_dim : which * width + (head + 1) * head_dim] for which in range(3)
        )
        maps.append(softmax(query @ np.swapaxes(key, 1, 2) / math.sqrt(head_dim)))
        heads.append(maps[-1] @ value)
    return dense(np.concatenate(heads, axis=-1), subweights(weights, "projection")), np.stack(maps, axis=1)


def mlp(tokens, weights):
    """Two linear layers with a GELU between them."""
    return dense(gelu(dense(tokens, subweights(weights, "expansion"))), subweights(weights, "reduction"))


def encoder_block(tokens, weights, num_heads, epsilon):
    """A pre-norm block, with LayerScale if `weights` has its factors: outputs and attention map."""
    branch, attention_map = attention(
        layer_norm(tokens, subweights(weights, "attention_norm"), epsilon), subweights(weights, "attention"), num_heads
    )
    tokens = tokens + branch * weights.get("attention_scale/gamma", 1.0)
    branch = mlp(layer_norm(tokens, subweights(weights, "mlp_norm"), epsilon), subweights(weights, "mlp"))
    return tokens + branch * weights.get("mlp_scale/gamma", 1.0), attention_map


def prefix_tokens(patch_tokens, weights):
    """Prepends the class and distillation tokens; adds positions to all tokens, or to the patches only."""
    names = [name for name in ("class_token", "distillation_token") if name in weights]
    prefix = [np.repeat(weights[name], len(patch_tokens), axis=0) for name in names]
    positions = weights["positions"]
    if positions.shape[1] == patch_tokens.shape[1]:
        return np.concatenate([*prefix, patch_tokens + positions], axis=1)
    return np.concatenate([*prefix, patch_tokens], axis=1) + positions


def backbone(images, weights, num_layers, num_heads, epsilon=1e-6):
    """Computes the tokens after the final layer norm and the attention maps of all blocks."""
    tokens = prefix_tokens(
        patch_embedding(images, subweights(weights, "patch_embedding")), subweights(weights, "prefix_tokens")
    )
    maps = []
    for index in range(1, num_layers + 1):
        tokens, attention_map = encoder_block(tokens, subweights(weights, f"block_{index}"), num_heads, epsilon)
        maps.append(attention_map)
    return layer_norm(tokens, subweights(weights, "norm"), epsilon), maps


def subweights(weights, name):
    """The weights whose paths begin with `name/`, by the rest of the path."""
    prefix = f"{name}/"
    return {path.removeprefix(prefix): value for path, value in weights.items() if path.startswith(prefix)}


def merge_tokens(tokens, sizes, keys, num_merged, num_prefix_tokens):
    """Bipartite soft matching of the tokens `(tokens, width)` of one image, edge by edge: merged tokens and their sizes.

    Reference: Bolya et al., 2022 (arXiv 2210.09461), section 3.
    """
    keys = keys / np.linalg.norm(keys, axis=-1, keepdims=True)
    sources, targets = range(0, len(tokens), 2), range(1, len(tokens), 2)
    edges = []
    for source in sources[1:]:  # the class token has no edge
        allowed = [target for target in targets if not (num_prefix_tokens == 2 and target == 1)]
        cosines = [keys[source] @ keys[target] for target in allowed]
        best = int(np.argmax(cosines))
        edges.append((-cosines[best], source, allowed[best]))
    sums, new_sizes = tokens * sizes, sizes.copy()
    removed = set()
    for _, source, target in sorted(edges)[:num_merged]:
        sums[target], new_sizes[target] = sums[target] + sums[source], new_sizes[target] + new_sizes[source]
        removed.add(source)
    kept = [source for source in sources if source not in removed]
    order = [*kept, *targets] if num_prefix_tokens == 1 else [0, 1, *kept[1:], *targets[1:]]
    return (sums / new_sizes)[order], new_sizes[order]


def backbone_with_token_merging(images, weights, num_layers, num_heads, num_merged, epsilon=1e-6):
    """Computes the tokens after the final layer norm where each block merges tokens between attention and MLP."""
    tokens = prefix_tokens(
        patch_embedding(images, subweights(weights, "patch_embedding")), subweights(weights, "prefix_tokens")
    )
    num_prefix_tokens = 2 if "prefix_tokens/distillation_token" in weights else 1
    outputs = [
        _merging_blocks(image, weights, num_layers, num_heads, num_merged, num_prefix_tokens, epsilon)
        for image in tokens
    ]
    return layer_norm(np.stack(outputs), subweights(weights, "norm"), epsilon)


def _merging_blocks(tokens, weights, num_layers, num_heads, num_merged, num_prefix_tokens, epsilon):
    sizes = np.ones((len(tokens), 1))
    for index in range(1, num_layers + 1):
        block = subweights(weights, f"block_{index}")
        normed = layer_norm(tokens, subweights(block, "attention_norm"), epsilon)
        branch, keys = _proportional_attention(normed, subweights(block, "attention"), num_heads, sizes)
        tokens = tokens + branch * block.get("attention_scale/gamma", 1.0)
        count = min(num_merged, (len(tokens) - num_prefix_tokens) // 2)
        tokens, sizes = merge_tokens(tokens, sizes, keys, count, num_prefix_tokens)
        branch = mlp(layer_norm(tokens, subweights(block, "mlp_norm"), epsilon), subweights(block, "mlp"))
        tokens = tokens + branch * block.get("mlp_scale/gamma", 1.0)
    return tokens


def _proportional_attention(tokens, weights, num_heads, sizes):
    """Attention in which a key counts as often as its token has patches; also the mean of the keys over the heads."""
    query, key, value = np.split(dense(tokens, subweights(weights, "qkv")), 3, axis=-1)
    query, key, value = (np.split(part, num_heads, axis=-1) for part in (query, key, value))
    heads = []
    for one_query, one_key, one_value in zip(query, key, value, strict=True):
        exponentials = sizes.T * np.exp(one_query @ one_key.T / math.sqrt(one_key.shape[-1]))
        heads.append(exponentials / exponentials.sum(axis=-1, keepdims=True) @ one_value)
    return dense(np.concatenate(heads, axis=-1), subweights(weights, "projection")), np.mean(key, axis=0)
