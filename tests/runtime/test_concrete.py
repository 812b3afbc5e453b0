import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.runtime.concrete import concrete_values


def test_values_of_tensors_are_known():
    np.testing.assert_array_equal(concrete_values(ops.arange(3)), [0, 1, 2])


def test_tensors_of_a_traced_function_have_no_values():
    seen = []

    class Look(keras.layers.Layer):
        def call(self, images):
            seen.append(concrete_values(images))
            return images

    inputs = keras.Input((2,))
    keras.Model(inputs, Look()(inputs))
    assert seen[0] is None


def test_tensors_without_memory_have_no_values():
    if keras.backend.backend() == "torch":
        with keras.device("meta"):
            assert concrete_values(ops.ones(2)) is None


def test_tensors_of_transformed_functions_have_no_values():
    seen = []

    def look(values):
        seen.append(concrete_values(values))
        return values

    if keras.backend.backend() == "torch":
        import torch

        torch.vmap(look)(torch.ones(2, 3))
    elif keras.backend.backend() == "jax":
        import jax

        jax.jit(jax.vmap(look))(ops.ones((2, 3)))
    else:
        import tensorflow as tf

        tf.function(look, autograph=False)(tf.ones(2))
    assert seen == [None]


def test_values_of_tensors_that_need_gradients_are_known():
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(concrete_values(torch.ones(2, requires_grad=True)), [1, 1])


def test_an_error_of_the_device_is_not_hidden(monkeypatch):
    def fail(_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(keras.ops, "convert_to_numpy", fail)
    with pytest.raises(RuntimeError, match="CUDA error"):
        concrete_values(ops.ones(2))
