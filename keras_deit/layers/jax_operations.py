"""Operations on tokens that XLA's CPU backend computes slowly; `keras_deit.layers.operations` says what each computes."""

import keras
from keras import ops


def product(tokens, kernel):
    """In bfloat16 on CPUs, the product is computed with a float32 result, which is rounded.

    XLA's CPU backend multiplies matrices in bfloat16 as they are only if the result is float32. For a result in
    bfloat16 it converts both matrices to float32.
    """
    if keras.backend.standardize_dtype(tokens.dtype) != "bfloat16" or not runs_on_cpus():
        return ops.matmul(tokens, kernel)
    import jax.numpy as jnp

    values = jnp.matmul(tokens, ops.cast(kernel, "bfloat16"), preferred_element_type="float32")
    return ops.cast(values, "bfloat16")


def layer_norm(tokens, gamma, beta, epsilon):
    """Normalises each token by a function with a derivative of its own, which takes fewer passes over the tokens.

    The tokens are reshaped to two dimensions, as in a dense layer. Otherwise XLA's CPU backend stores a token's gradient in
    one shape for the dense layers, and computes it anew in the other shape from the gradients of all later blocks.
    """
    import jax

    @jax.custom_jvp
    def standardize(values):
        return _standardize(values, epsilon)[0]

    @standardize.defjvp
    def derivative(primals, tangents):
        normalized, scale = _standardize(*primals, epsilon)
        (tangent,) = tangents
        slope = ops.mean(tangent * normalized, axis=-1, keepdims=True)
        return normalized, scale * (tangent - ops.mean(tangent, axis=-1, keepdims=True) - slope * normalized)

    flat = ops.reshape(_at_least_float32(tokens), (-1, tokens.shape[-1]))
    gamma, beta = (ops.cast(values, flat.dtype) for values in (gamma, beta))
    return ops.cast(ops.reshape(standardize(flat) * gamma + beta, ops.shape(tokens)), tokens.dtype)


def gelu(tokens):
    """The exact GELU by the error function; JAX's own calls the complementary one, which takes three times as long."""
    values = _at_least_float32(tokens)
    return ops.cast(values * (0.5 + 0.5 * ops.erf(values * 0.5**0.5)), tokens.dtype)


def runs_on_cpus():
    """Returns whether JAX has no other devices than CPUs."""
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


def _standardize(values, epsilon):
    """Returns tokens of mean 0 and variance 1, and the factor `(tokens, 1)` by which they were scaled."""
    centered = values - ops.mean(values, axis=-1, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centered), axis=-1, keepdims=True) + epsilon)
    return centered * scale, scale


def _at_least_float32(tokens):
    return ops.cast(tokens, keras.backend.result_type(tokens.dtype, "float32"))
