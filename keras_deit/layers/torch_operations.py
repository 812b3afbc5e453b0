"""The operations on tokens with PyTorch's own functions; `keras_deit.layers.operations` says what each computes."""

import keras


def dense(tokens, kernel, bias=None):
    """One call computes the product and adds the bias, while the sums are in the cache."""
    import torch

    flat, kernel, bias = tokens.reshape(-1, tokens.shape[-1]), _tensor(kernel), _tensor(bias)
    outputs = torch.mm(flat, kernel) if bias is None else torch.addmm(bias, flat, kernel)
    return outputs.view(*tokens.shape[:-1], outputs.shape[-1])


def drop_path(tokens, rate, seed_generator):
    """The draws are those of `keras.random.dropout`, which makes the processor wait for the GPU to read the seed from it."""
    import torch

    # `torch.compile` cannot trace a generator. Each call of `disable` takes about as long as the draws.
    draw = torch.compiler.disable(_draw) if torch.compiler.is_compiling() else _draw
    is_kept = draw(len(tokens), 1 - rate, seed_generator, tokens.device)
    return tokens.masked_fill(is_kept == 0, 0) / (1 - rate)  # zeros also in place of infinity


def seed_device():
    """The processor, where the seed is read."""
    return keras.device("cpu")


def _draw(num_examples, probability, seed_generator, device):
    """Draws a 1 for each example with the given probability, otherwise a 0; `(examples, 1, 1)`."""
    import torch

    probabilities = torch.full((num_examples, 1, 1), probability, device=device)
    return torch.bernoulli(probabilities, generator=_generator(seed_generator, device))


def _generator(seed_generator, device):
    import torch

    if device.type == "meta":  # there are no values to draw
        return None
    with seed_device():
        first, second = seed_generator.next().tolist()
    generator = torch.Generator(device)
    generator.manual_seed((first + second) & 0xFFFFFFFF)
    return generator


def layer_norm(tokens, gamma, beta, epsilon):
    """Computed in the dtype of the variables, float32 under mixed precision; the statistics in float32 at least.

    On a processor, PyTorch's own kernel takes tokens in bfloat16 beside variables in float32, and makes no float32 copy.
    """
    import torch
    from torch.nn import functional

    gamma, beta = _tensor(gamma), _tensor(beta)
    takes_both = tokens.device.type == "cpu" and tokens.dtype == torch.bfloat16
    inputs = tokens if takes_both else tokens.to(gamma.dtype)
    return functional.layer_norm(inputs, tokens.shape[-1:], gamma, beta, epsilon).to(tokens.dtype)


def gelu(tokens):
    """The exact (erf) GELU."""
    from torch.nn import functional

    return functional.gelu(tokens)


def attention(qkv, num_heads, bias=None):
    """PyTorch chooses the kernel. The heads are views of the projection, not copies."""
    from torch.nn import functional

    batch, length, _ = qkv.shape
    query, key, value = qkv.view(batch, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4)
    bias = None if bias is None else bias.to(qkv.dtype)
    mixed = functional.scaled_dot_product_attention(query, key, value, bias)  # (batch, heads, tokens, head_dim)
    return mixed.transpose(1, 2).reshape(batch, length, -1)


def _tensor(value):
    return getattr(value, "value", value)  # of a Keras variable, cast under mixed precision
