"""Checks that every layer and every model must pass: `check_layer` and `check_model`."""

import contextlib
import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops

from tests.goldens.weights import fill, noise
from tests.toys import run

# Largest difference from float32, relative to the largest value. bfloat16 has 8 bits of precision, float16 has 11.
PRECISIONS = {"float32": 1e-6, "mixed_bfloat16": 0.05, "mixed_float16": 0.01}


def check_layer(cls, arguments, *, input_shape, output_shape, num_weights, num_parameters):
    """Checks configuration, shapes, dtypes, saving and training of a layer.

    Args:
        cls: The class.
        arguments: Dictionary of constructor arguments. The config must hold them all.
        input_shape: Shape of the input, including the batch.
        output_shape: Expected shape of the output, including the batch.
        num_weights: Expected number of weight tensors.
        num_parameters: Expected number of scalars in these tensors.
    """
    inputs = noise("inputs", input_shape)
    _check_layer_config(cls, arguments)

    layer = cls(**arguments)
    symbolic = layer(keras.Input(input_shape[1:]))
    assert (tuple(symbolic.shape), symbolic.dtype) == ((None, *output_shape[1:]), "float32")
    assert tuple(layer.compute_output_shape(input_shape)) == tuple(output_shape)
    assert len(layer.weights) == num_weights
    assert layer.count_params() == num_parameters

    outputs = run(fill(layer), inputs)
    assert (tuple(outputs.shape), keras.backend.standardize_dtype(outputs.dtype)) == (tuple(output_shape), "float32")
    values = [ops.convert_to_numpy(weight) for weight in layer.weights]
    expected = ops.convert_to_numpy(outputs)

    for policy, tolerance in PRECISIONS.items():
        other = cls(**arguments, dtype=policy)
        symbolic = other(keras.Input(input_shape[1:]))
        other.set_weights(values)
        outputs = run(other, inputs)
        assert keras.backend.standardize_dtype(outputs.dtype) == symbolic.dtype == other.compute_dtype
        _check_dtypes(other, policy)
        _assert_close(outputs, expected, tolerance)

    with global_policy("mixed_bfloat16"):
        _check_dtypes(_built(cls(**arguments), inputs), "mixed_bfloat16")
    with channels_first():
        other = _built(cls(**arguments), inputs)
        other.set_weights(values)
        _assert_close(other(inputs), expected, PRECISIONS["float32"])

    images = keras.Input(input_shape[1:])
    _check_saves(keras.Model(images, layer(images)), inputs)
    _check_layer_trains(layer, inputs)


def check_model(
    make,
    *,
    image_shape,
    output_shapes,
    num_parameters,
    other_sizes,
    outputs_float32=True,
    policies=tuple(PRECISIONS),
    to_inputs=lambda images: images,
):
    """Checks configuration, shapes, dtypes, saving and training of a model.

    Args:
        make: Function of overrides (`dtype`, `image_size`, ...) that returns a new model.
        image_shape: `(height, width, channels)` of the images that `make()` expects.
        output_shapes: Expected shapes of the outputs without the batch: a tuple, or a dictionary of tuples.
        num_parameters: Expected number of parameters.
        other_sizes: Other image sizes to build the model with: integers or pairs, divisible by the patch size.
        outputs_float32: Whether the outputs are float32 under every dtype policy.
        policies: Dtype policies to compare with float32 and to train with.
        to_inputs: Function from images to the model's inputs, for models with several inputs.
    """
    inputs = to_inputs(noise("images", (2, *image_shape)))
    model = make()
    _check_model_config(model)
    assert model.count_params() == num_parameters
    assert _shapes(model.output) == _with_batch(output_shapes, None)

    outputs = run(fill(model), inputs)
    assert _shapes(outputs) == _with_batch(output_shapes, 2)
    assert _dtypes(outputs) == {"float32"}
    values = model.get_weights()
    trained = model(inputs, training=True)  # also updates the statistics of batch norm
    assert type(trained) is type(outputs)
    assert _shapes(trained) == _shapes(outputs)
    expected = keras.tree.map_structure(ops.convert_to_numpy, outputs)

    for policy in policies:
        other = make(dtype=policy)
        other.set_weights(values)
        outputs = run(other, inputs)
        dtype = {"float32" if outputs_float32 else other.compute_dtype}
        assert _dtypes(outputs) == _dtypes(other.output) == dtype
        assert {weight.dtype for weight in other.weights} == {"float32"}
        tolerance = PRECISIONS[policy]
        keras.tree.map_structure(lambda one, two, within=tolerance: _assert_close(one, two, within), outputs, expected)
        _check_model_trains(other, inputs)

    with global_policy("mixed_bfloat16"):
        other = make()
        assert other.dtype_policy.name == "mixed_bfloat16"
        assert _dtypes(other.output) == {"float32" if outputs_float32 else "bfloat16"}
        assert {weight.dtype for weight in other.weights} == {"float32"}
    with channels_first():
        other = make()
        other.set_weights(values)
        outputs = run(other, inputs)
    keras.tree.map_structure(lambda one, two: _assert_close(one, two, PRECISIONS["float32"]), outputs, expected)

    for size in other_sizes:
        height, width = (size, size) if isinstance(size, int) else size
        other = make(image_size=size)
        assert other.image_size == (height, width)
        assert tuple(keras.tree.flatten(other.input)[0].shape) == (None, height, width, image_shape[-1])
        outputs = run(other, to_inputs(noise("images", (2, height, width, image_shape[-1]))))
        assert _shapes(outputs) == _with_batch(keras.tree.map_structure(lambda one: one.shape[1:], other.output), 2)
        assert all(np.all(np.isfinite(ops.convert_to_numpy(output))) for output in keras.tree.flatten(outputs))

    _check_saves(model, inputs)


@contextlib.contextmanager
def global_policy(name):
    """Sets Keras's global dtype policy inside a `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def channels_first():
    """Sets Keras's image data format to channels-first inside a `with` block."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def weights_of(layer):
    """The weights of a layer or model as float64 arrays, by their paths without the name of the layer itself."""
    skipped = 0 if isinstance(layer, keras.Model) else 1
    return {
        "/".join(weight.path.split("/")[skipped:]): ops.convert_to_numpy(weight).astype("float64")
        for weight in layer.weights
    }


def _check_layer_config(cls, arguments):
    assert keras.saving.get_registered_name(cls) == f"keras_deit>{cls.__name__}"
    layer = cls(**arguments, name="some_name", dtype="mixed_bfloat16", trainable=False)
    config = layer.get_config()
    assert {key: config[key] for key in arguments} == arguments
    again = cls.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert (again.name, again.dtype_policy.name, again.trainable) == ("some_name", "mixed_bfloat16", False)


def _check_model_config(model):
    cls = type(model)
    assert keras.saving.get_registered_name(cls) == f"keras_deit>{cls.__name__}"
    text = json.dumps(model.get_config())
    again = cls.from_config(json.loads(text))
    assert json.dumps(again.get_config()) == text
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def _check_dtypes(layer, policy):
    assert {sublayer.dtype_policy.name for sublayer in layer._flatten_layers()} == {policy}
    assert {weight.dtype for weight in layer.weights} <= {"float32"}


def _check_layer_trains(layer, inputs):
    images = keras.Input(inputs.shape[1:])
    model = keras.Model(images, keras.layers.Dense(1, dtype="float32")(layer(images)))
    _check_steps(model, inputs, layer.trainable_weights, num_steps=1)


def _check_model_trains(model, inputs):
    # Loss scaling of float16 starts too high on purpose: steps that overflow are skipped until the scale has come down.
    is_scaled = model.dtype_policy.name == "mixed_float16"
    _check_steps(model, inputs, model.trainable_weights, num_steps=4 if is_scaled else 1)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == is_scaled


def _check_steps(model, inputs, weights, num_steps):
    count = len(keras.tree.flatten(inputs)[0])
    if isinstance(model.output, dict):
        targets = {name: noise(name, (count, *output.shape[1:])) for name, output in model.output.items()}
    else:
        targets = noise("targets", (count, *model.output.shape[1:]))
    before = [ops.convert_to_numpy(weight).copy() for weight in weights]
    losses = keras.tree.map_structure(lambda _: "mse", targets)
    eagerly = keras.backend.backend() == "tensorflow"  # where tracing takes ten times as long as a step
    model.compile(keras.optimizers.SGD(0.1), losses, run_eagerly=eagerly)
    history = model.fit(inputs, targets, epochs=num_steps, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    for weight, old in zip(weights, before, strict=True):
        new = ops.convert_to_numpy(weight)
        assert np.all(np.isfinite(new)), weight.path
        assert np.any(new != old), f"{weight.path} does not learn"


def _check_saves(model, inputs):
    expected = run(model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    assert len(loaded.weights) == len(model.weights)
    keras.tree.map_structure(lambda one, two: _assert_close(one, two, 1e-6), run(loaded, inputs), expected)


def _built(layer, inputs):
    layer(inputs)
    return layer


def _shapes(outputs):
    if isinstance(outputs, dict):
        return {name: tuple(output.shape) for name, output in outputs.items()}
    return tuple(outputs.shape)


def _dtypes(outputs):
    return {keras.backend.standardize_dtype(output.dtype) for output in keras.tree.flatten(outputs)}


def _with_batch(shapes, batch_size):
    if isinstance(shapes, dict):
        return {name: (batch_size, *shape) for name, shape in shapes.items()}
    return (batch_size, *shapes)


def _assert_close(outputs, expected, tolerance):
    outputs, expected = (ops.convert_to_numpy(ops.cast(value, "float32")) for value in (outputs, expected))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance * np.abs(expected).max())
