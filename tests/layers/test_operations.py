"""Every operation against its formula in float64, in float32 and in half precision."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import operations
from tests import numpy_reference
from tests.goldens.weights import noise

TOLERANCES = {"float32": 1e-5, "bfloat16": 3e-2}  # half a unit in the last of 8 bits, of values up to 4
HEADS = 2


@pytest.fixture(params=TOLERANCES)
def check(request):
    """Compares an operation on tensors of a dtype with a formula on the same values in float64."""

    def compare(operation, formula, *arrays):
        tensors = [ops.cast(array, request.param) for array in arrays]
        exact = [np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32")), "float64") for tensor in tensors]
        outputs = operation(*tensors)
        assert keras.backend.standardize_dtype(outputs.dtype) == request.param
        values = ops.convert_to_numpy(ops.cast(outputs, "float32"))
        np.testing.assert_allclose(values, formula(*exact), atol=TOLERANCES[request.param])

    return compare


def test_dense_is_a_product_and_a_bias(check):
    arrays = noise("tokens", (2, 5, 8)), noise("kernel", (8, 6)) / 3, noise("bias", (6,))
    check(operations.dense, lambda tokens, kernel, bias: tokens @ kernel + bias, *arrays)
    check(operations.dense, lambda tokens, kernel: tokens @ kernel, *arrays[:2])


def test_dense_takes_tokens_that_are_not_contiguous(check):
    tokens, kernel = noise("tokens", (5, 2, 8)), noise("kernel", (8, 6)) / 3
    check(
        lambda tokens, kernel: operations.dense(ops.transpose(tokens, (1, 0, 2)), kernel),
        lambda tokens, kernel: tokens.transpose(1, 0, 2) @ kernel,
        tokens,
        kernel,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="the other backends have products with results in bfloat16"
)
def test_a_product_of_bfloat16_is_computed_in_float32_on_cpus():
    import jax

    matrices = ops.ones((3, 4), "bfloat16"), ops.ones((4, 5), "bfloat16")
    assert "preferred_element_type=float32" in str(jax.make_jaxpr(operations.product)(*matrices))


def test_gelu_is_exact(check):
    check(operations.gelu, numpy_reference.gelu, np.linspace(-4, 4, 30, dtype="float32").reshape(1, 5, 6))


def test_layer_norm(check):
    def formula(tokens, gamma, beta):
        return numpy_reference.layer_norm(tokens, {"gamma": gamma, "beta": beta}, 1e-6)

    arrays = 3 + noise("tokens", (2, 5, 8)), 1 + noise("gamma", (8,)) / 4, noise("beta", (8,))
    check(lambda *tensors: operations.layer_norm(*tensors, 1e-6), formula, *arrays)


@pytest.mark.parametrize("bias", [None, np.linspace(-2, 3, 10, dtype="float32").reshape(2, 1, 1, 5)])
def test_attention_of_each_head(check, bias):
    def formula(qkv):
        query, key, value = (part.reshape(2, 5, HEADS, 4).transpose(0, 2, 1, 3) for part in np.split(qkv, 3, axis=-1))
        logits = query @ key.transpose(0, 1, 3, 2) / np.sqrt(4)
        weights = numpy_reference.softmax(logits if bias is None else logits + bias)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(2, 5, 8)

    tensor = None if bias is None else ops.convert_to_tensor(bias)
    check(lambda qkv: operations.attention(qkv, HEADS, tensor), formula, noise("qkv", (2, 5, 24)))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch's functions")
def test_gradients_are_those_of_finite_differences():
    import torch

    def network(tokens, kernel, bias, gamma, beta):
        qkv = operations.dense(operations.layer_norm(operations.gelu(tokens), gamma, beta, 1e-6), kernel, bias)
        return operations.attention(qkv, HEADS)

    arrays = noise("tokens", (2, 5, 8)), noise("kernel", (8, 24)) / 3, noise("bias", (24,)), noise("gamma", (2, 8))
    tokens, kernel, bias, (gamma, beta) = arrays
    inputs = [
        torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in (tokens, kernel, bias, gamma, beta)
    ]
    assert torch.autograd.gradcheck(network, inputs)


JAX_DERIVATIVES = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="TensorFlow differentiates Keras's operations"
)
POINT = noise("tokens", (2, 5, 8)), noise("gamma", (8,)), noise("beta", (8,))
DIRECTION = noise("step", (2, 5, 8)), noise("gamma step", (8,)), noise("beta step", (8,))


def norm_of_gelu(tokens, gamma, beta):
    return operations.layer_norm(operations.gelu(tokens), gamma, beta, 1e-6)


def exact_along(point, distance):
    """The formula of `norm_of_gelu` in float64, at a distance from a point in `DIRECTION`."""
    tokens, gamma, beta = (
        np.asarray(start, "float64") + distance * step for start, step in zip(point, DIRECTION, strict=True)
    )
    return numpy_reference.layer_norm(numpy_reference.gelu(tokens), {"gamma": gamma, "beta": beta}, 1e-6)


def exact_slope(point):
    return (exact_along(point, 1e-5) - exact_along(point, -1e-5)) / 2e-5


@JAX_DERIVATIVES
def test_derivatives_in_both_directions_are_those_of_finite_differences_in_float64():
    import jax

    expected = exact_slope(POINT)
    _, forward = jax.jvp(norm_of_gelu, POINT, DIRECTION)
    np.testing.assert_allclose(forward, expected, atol=1e-3)
    weights = noise("weights", expected.shape)
    gradients = jax.vjp(norm_of_gelu, *POINT)[1](weights)
    product = sum(np.sum(np.asarray(gradient) * step) for gradient, step in zip(gradients, DIRECTION, strict=True))
    np.testing.assert_allclose(product, np.sum(weights * expected), rtol=1e-4)


@JAX_DERIVATIVES
def test_the_second_derivative_is_that_of_finite_differences_in_float64():
    import jax

    def along(distance):
        return norm_of_gelu(*(start + distance * step for start, step in zip(POINT, DIRECTION, strict=True)))

    expected = (exact_along(POINT, 1e-4) - 2 * exact_along(POINT, 0) + exact_along(POINT, -1e-4)) / 1e-8
    np.testing.assert_allclose(
        jax.jacfwd(jax.jacfwd(along))(0.0), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()
    )
    weights = noise("weights", expected.shape)
    reverse = jax.grad(jax.grad(lambda distance: ops.sum(weights * along(distance))))(0.0)
    np.testing.assert_allclose(reverse, np.sum(weights * expected), rtol=1e-3)


@JAX_DERIVATIVES
def test_the_derivative_in_half_precision_is_that_of_float64():
    import jax

    point, direction = ([ops.cast(array, "bfloat16") for array in arrays] for arrays in (POINT, DIRECTION))
    expected = exact_slope([np.asarray(array, "float64") for array in point])
    _, slope = jax.jvp(norm_of_gelu, point, direction)
    assert slope.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(slope, "float64"), expected, atol=0.02 * np.abs(expected).max())
