import keras
import numpy as np
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
