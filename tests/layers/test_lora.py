"""Merging LoRA into kernels."""

import keras
import numpy as np
import pytest

from keras_deit.layers.lora import lora_layers, merged_weights
from tests.goldens.weights import noise


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float64"])
def test_a_model_with_the_merged_weights_gives_the_same_outputs(policy):
    def build():
        layers = [keras.layers.Conv2D(4, 3, dtype=policy), keras.layers.Flatten(), keras.layers.Dense(2, dtype=policy)]
        return keras.Sequential([keras.Input((5, 5, 3)), *layers])

    model = build()
    convolution, _, dense = model.layers
    dense.enable_lora(rank=2, lora_alpha=3)
    convolution.enable_lora(rank=1)
    dense.lora_kernel_b.assign(noise("b", dense.lora_kernel_b.shape))
    convolution.lora_kernel_b.assign(noise("c", convolution.lora_kernel_b.shape))
    values = {variable.path: value for variable, value in merged_weights(model)}
    kernel, a, b = (
        keras.ops.convert_to_numpy(value) for value in (dense._kernel, dense.lora_kernel_a, dense.lora_kernel_b)
    )
    np.testing.assert_allclose(values[f"{dense.path}/kernel"], kernel + 3 / 2 * np.einsum("ir,ro->io", a, b), rtol=1e-5)
    assert values[f"{dense.path}/kernel"].dtype == kernel.dtype  # float64 is float32 on JAX
    again = build()
    again.set_weights(list(values.values()))
    images = noise("images", (2, 5, 5, 3))
    tolerance = 0.1 if policy == "mixed_bfloat16" else 1e-5
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), atol=tolerance)
    assert lora_layers(model) == [convolution, dense]
    assert lora_layers(again) == []


def test_lora_on_a_quantized_kernel_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
    model.quantize("int8")
    model.layers[0].enable_lora(rank=1)
    with pytest.raises(ValueError, match="LoRA cannot be merged into the quantized kernel of .*head. Save the model"):
        merged_weights(model)
