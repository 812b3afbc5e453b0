"""The model that an export writes: one output, in float32."""

import warnings

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export.serving import image_shape, serving_model
from tests.export.students import CLASS_NAMES, images, student


def test_the_heads_of_a_deit_are_fused_by_the_mean_of_their_logits():
    deit = student()
    outputs = deit(images(2))
    expected = (outputs["class"] + outputs["distillation"]) / 2
    served = serving_model(deit)(images(2))
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (served, expected)), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: kd.DeiTClassifier(student(), fusion="sum"), lambda: dense_model("float32")])
def test_a_float32_model_with_one_output_is_not_copied(make):
    model = make()
    assert serving_model(model) is model


def dense_model(policy):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(dtype=policy), keras.layers.Dense(4, dtype=policy)]
    return keras.Sequential(layers)


@pytest.mark.parametrize("make", [lambda policy: student(dtype=policy), dense_model], ids=["deit", "sequential"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_other_precisions_become_float32_with_the_same_weights(make, policy):
    model = make(policy)
    served = serving_model(model)
    assert {layer.compute_dtype for layer in served._flatten_layers()} == {"float32"}
    assert served.inputs[0].dtype == served.outputs[0].dtype == "float32"
    for ours, theirs in zip(served.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs.astype("float32"))


def test_the_image_shape_of_a_rectangular_model():
    assert image_shape(student(image_size=(32, 16))) == (32, 16, 3)


def two_inputs():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([first, second], first + second)


def two_outputs():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, [inputs, inputs + 1])


def no_images():
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])


@pytest.mark.parametrize("make", [two_inputs, two_outputs, no_images, keras.Model, lambda: print])
def test_a_model_without_one_image_input_and_one_output_is_refused(make):
    with pytest.raises(ValueError, match=r"one input \(batch, height, width, channels\) and one output"):
        serving_model(make())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("make", [lambda policy: student(dtype=policy), dense_model], ids=["deit", "sequential"])
def test_lora_is_merged(make, policy):
    model = make(policy)
    head = model.layers[-1]
    head.enable_lora(rank=2)
    head.lora_kernel_b.assign(np.ones(head.lora_kernel_b.shape))
    served = serving_model(model)
    assert not any("lora" in variable.path for variable in served.variables)
    inputs = images(2)[:, : served.inputs[0].shape[1], : served.inputs[0].shape[2]]
    outputs = model(inputs)
    expected = (outputs["class"] + outputs["distillation"]) / 2 if isinstance(outputs, dict) else outputs
    tolerance = 1e-5 if policy == "float32" else 0.1
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (served(inputs), expected)), atol=tolerance)


def test_a_quantized_model_in_mixed_precision_keeps_its_quantization():
    model = kd.DeiTClassifier(student(dtype="mixed_bfloat16"))
    model.quantize("int8")
    served = serving_model(model)
    for ours, theirs in zip(served.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_without_class_names_is_questioned():
    with pytest.warns(UserWarning, match="no names of its classes.*model.class_names = ") as warned:
        serving_model(student())
    assert warned[0].filename == __file__
    named = student()
    named.class_names = CLASS_NAMES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        serving_model(named)
        serving_model(dense_model("float32"))  # of another package: its names are unknown to it
