"""The optimisers of the recipes against NumPy and against timm's parameter groups."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.optimizers import LAMB, SGD, AdamW, LayerwiseAdamW
from keras_deit.recipes.fields import settings_of
from keras_deit.recipes.recipe import RecipeFields
from keras_deit.runtime.keras_private import UnsupportedKerasError
from keras_deit.training.recipe_optimizer import make_optimizer
from keras_deit.weights.names import timm_name
from tests import goldens

GROUPS = json.loads((pathlib.Path(goldens.__file__).parent / "timm_recipes.json").read_text())["groups"]
LAYOUTS = {"two_tokens": {}, "deit3": dict(distilled=False, prefix_positions=False, layer_scale_init=0.1)}
RATE, DECAY = 0.01, 0.3
VALUES = {
    "kernel": np.array([[0.5, -1.0], [2.0, 0.25]], "float32"),
    "bias": np.array([0.1, -0.2], "float32"),
    "zeros_kernel": np.zeros((2, 2), "float32"),
}
GRADIENTS = [
    {
        name: np.random.default_rng([step, index]).normal(size=value.shape)
        for index, (name, value) in enumerate(VALUES.items())
    }
    for step in range(3)
]


def variables():
    with keras.name_scope("class_head"):  # a layer that LayerwiseAdamW knows
        return {name: keras.Variable(value, name=name) for name, value in VALUES.items()}


def trained(optimizer, scaled=lambda gradient: gradient):
    values = variables()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(list(values.values()))
    for gradients in GRADIENTS:
        tensors = [keras.ops.convert_to_tensor(scaled(gradients[name]).astype("float32")) for name in values]
        optimizer.apply(tensors)
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in values.items()}


def assert_trained_as(optimizer, step):
    """`step(value, gradient, state, number, decay)` is the formula for one variable in float64."""
    received = trained(optimizer)
    for name, value in VALUES.items():
        value, state = value.astype("float64"), {}
        for number, gradients in enumerate(GRADIENTS, start=1):
            value = step(value, gradients[name], state, number, 0.0 if name == "bias" else DECAY)
        assert np.abs(value - VALUES[name]).max() > 1e-3
        np.testing.assert_allclose(received[name], value, atol=2e-6, err_msg=name)


def adam_direction(gradient, state, number, epsilon):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    return state["m"] / (1 - 0.9**number) / (np.sqrt(state["v"] / (1 - 0.999**number)) + epsilon)


def test_lamb_decays_inside_the_trust_ratio_and_skips_it_without_decay():
    def step(value, gradient, state, number, decay):
        update = adam_direction(gradient, state, number, 1e-6) + decay * value
        norms = np.linalg.norm(value), np.linalg.norm(update)
        ratio = norms[0] / norms[1] if decay and min(norms) > 0 else 1.0
        return value - RATE * ratio * update

    assert_trained_as(LAMB(RATE, epsilon=1e-6, weight_decay=DECAY), step)


def test_adamw_decays_apart_from_the_update():
    def step(value, gradient, state, number, decay):
        return value * (1 - RATE * decay) - RATE * adam_direction(gradient, state, number, 1e-8)

    assert_trained_as(AdamW(RATE, epsilon=1e-8, weight_decay=DECAY), step)


def test_sgd_adds_the_decay_to_the_gradient():
    def step(value, gradient, state, number, decay):
        gradient = gradient + decay * value
        state["m"] = 0.9 * state.get("m", 0) + gradient
        return value - RATE * (gradient + 0.9 * state["m"])  # Nesterov's

    assert_trained_as(SGD(RATE, momentum=0.9, nesterov=True, weight_decay=DECAY), step)


@pytest.mark.parametrize(
    "optimizer", [LAMB(RATE), SGD(RATE), AdamW(RATE), LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=3)]
)
def test_a_keras_that_has_renamed_its_clipping_raises_before_training(monkeypatch, optimizer):
    base = next(base for base in keras.optimizers.Optimizer.__mro__ if "_clip_gradients" in vars(base))
    monkeypatch.delattr(base, "_clip_gradients")
    with pytest.raises(UnsupportedKerasError, match="`Optimizer._clip_gradients` does not exist"):
        optimizer.build(list(variables().values()))


def test_the_global_norm_is_clipped():
    optimizer = LAMB(RATE, epsilon=1e-6, weight_decay=DECAY, global_clipnorm=1.0)
    clipped = trained(optimizer)
    norms = [np.sqrt(sum((value**2).sum() for value in gradients.values())) for gradients in GRADIENTS]
    assert min(norms) > 1
    by_hand = iter(np.repeat(norms, len(VALUES)))
    expected = trained(LAMB(RATE, epsilon=1e-6, weight_decay=DECAY), scaled=lambda gradient: gradient / next(by_hand))
    for name, value in expected.items():
        np.testing.assert_allclose(clipped[name], value, atol=2e-6)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="The other backends see one gradient of the whole batch"
)
@pytest.mark.parametrize(("optimizer", "layer_decay"), [("lamb", 1.0), ("sgd", 1.0), ("adamw", 1.0), ("adamw", 0.5)])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_two_replicas_take_the_steps_of_one(optimizer, layer_decay, clip_norm):
    import tensorflow as tf

    settings = dict(optimizer=optimizer, layer_decay=layer_decay, clip_norm=clip_norm, ema_decay=0.5)
    settings = dataclasses.replace(recipes.get("small_data"), **settings)

    def stepped(strategy, shares):
        """Weights and their averages after steps with gradients of which every replica has its share."""
        with strategy.scope():
            values = variables()
            optimizer = make_optimizer(settings, RATE, num_layers=1)
            optimizer.build(list(values.values()))

        @tf.function
        def step(gradients):
            share = tf.constant(shares)[tf.distribute.get_replica_context().replica_id_in_sync_group]
            optimizer.apply([gradient * share for gradient in gradients], list(values.values()))

        for gradients in GRADIENTS:
            strategy.run(step, args=([tf.constant(gradients[name], tf.float32) for name in values],))
        return [
            keras.ops.convert_to_numpy(one) for one in (*values.values(), *optimizer._model_variables_moving_average)
        ]

    reduction = tf.distribute.ReductionToOneDevice()
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    expected = stepped(tf.distribute.OneDeviceStrategy("CPU:0"), [1.0])
    for one, other in zip(stepped(both, [0.9, 0.1]), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def small(name):
    return kd.DeiT(
        num_classes=5, image_size=32, patch_size=8, hidden_dim=16, num_layers=3, num_heads=2, **LAYOUTS[name]
    )


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("optimizer", settings_of(RecipeFields)["optimizer"].choices)
def test_what_is_decayed_is_what_timm_decays(name, optimizer):
    settings = dataclasses.replace(recipes.get("small_data"), optimizer=optimizer)
    optimizer = make_optimizer(settings, 0.1, num_layers=3)
    variables = small(name).trainable_variables
    optimizer.build(variables)
    decayed = [timm_name(one.path) for one in variables if optimizer.uses_weight_decay(one)]
    assert sorted(decayed) == GROUPS[name]["decayed"]


def test_the_rate_of_a_layer_is_the_same_inside_a_scope_and_inside_another_model():
    with keras.name_scope("student"):
        scoped = small("two_tokens")
    optimizer = LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=3)
    scales = {one.path: optimizer.scale(one.path) for one in small("two_tokens").trainable_variables}
    assert {path: optimizer.scale(f"student/deit/{path}") for path in scales} == scales
    assert [optimizer.scale(one.path) for one in scoped.trainable_variables] == list(scales.values())


def test_layerwise_rates_are_refused_where_they_would_be_wrong():
    variables = small("two_tokens").trainable_variables
    with pytest.raises(ValueError, match="num_layers=2, but the model has a block 3"):
        LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=2).build(variables)
    with pytest.warns(UserWarning, match="num_layers=12, but the last trained block is block 3"):
        LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=12).build(variables)
    dense = keras.layers.Dense(2)
    dense.build((None, 3))
    with pytest.raises(ValueError, match="variables of other layers"):
        LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=3).build(dense.trainable_variables)


def test_layerwise_rates_of_a_frozen_backbone_are_those_of_the_heads():
    model = small("two_tokens")
    model.backbone.trainable = False
    optimizer = LayerwiseAdamW(RATE, layer_decay=0.5, num_layers=3)
    optimizer.build(model.trainable_variables)
    assert {optimizer.scale(one.path) for one in model.trainable_variables} == {1.0}


@pytest.mark.parametrize(
    "make", [LAMB, SGD, lambda rate, **settings: LayerwiseAdamW(rate, layer_decay=0.5, num_layers=1, **settings)]
)
def test_a_weight_decay_of_none_is_no_decay(make):
    assert make(RATE, weight_decay=None).get_config()["weight_decay"] == 0.0


@pytest.mark.parametrize("name", LAYOUTS)
def test_early_layers_learn_as_much_more_slowly_as_in_timm(name):
    settings = dataclasses.replace(recipes.get("small_data"), layer_decay=0.75)
    optimizer = make_optimizer(settings, 0.1, num_layers=3)
    assert isinstance(optimizer, LayerwiseAdamW)
    scales = {timm_name(one.path): optimizer.scale(one.path) for one in small(name).trainable_variables}
    assert scales == pytest.approx(GROUPS[name]["scales"])


def test_a_layerwise_step_is_adamws_at_the_layers_rate():
    model = small("two_tokens")
    optimizer = LayerwiseAdamW(RATE, epsilon=1e-8, weight_decay=DECAY, layer_decay=0.5, num_layers=3)
    before = {one.path: keras.ops.convert_to_numpy(one).astype("float64") for one in model.trainable_variables}
    rng = np.random.default_rng(3)  # of no tiny gradients, on which Keras lets epsilon act more
    gradients = [rng.uniform(0.5, 1.5, one.shape).astype("float32") for one in model.trainable_variables]
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    for one, gradient in zip(model.trainable_variables, gradients, strict=True):
        rate = RATE * optimizer.scale(one.path)
        expected = before[one.path] * (1 - rate * DECAY) - rate * adam_direction(gradient, {}, 1, 1e-8)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(one), expected, atol=2e-6, err_msg=one.path)


@pytest.mark.parametrize(
    "optimizer",
    [LAMB(0.1, weight_decay=0.2), SGD(0.1, weight_decay=0.2), LayerwiseAdamW(0.1, layer_decay=0.5, num_layers=3)],
)
def test_the_configuration_brings_the_optimizer_back(optimizer):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.decay == optimizer.decay


@pytest.mark.parametrize("optimizer", [kd.optimizers.AdamW, kd.optimizers.LAMB])
def test_an_epsilon_that_vanishes_in_float16_is_refused(optimizer):
    weight = keras.Variable([1.0, 2.0], dtype="float16")
    with pytest.raises(ValueError, match='epsilon=1e-08. Build the model with dtype="mixed_float16"'):
        optimizer(0.1, epsilon=1e-8).build([weight])
    optimizer(0.1, epsilon=1e-6).build([weight])
    optimizer(0.1, epsilon=1e-8).build([keras.Variable([1.0], dtype="float32")])
