"""What the optimisers have in common: clipping, averages of the weights, configuration."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.optimizers import LAMB, SGD, AdamW, LayerwiseAdamW
from keras_deit.recipes.fields import settings_of
from keras_deit.recipes.recipe import RecipeFields
from keras_deit.runtime.keras_private import UnsupportedKerasError
from keras_deit.training.recipe_optimizer import make_optimizer
from keras_deit.weights.names import timm_name
from tests.optimizers.steps import DECAY, GRADIENTS, RATE, VALUES, trained, variables
from tests.optimizers.timm_groups import GROUPS, LAYOUTS, small


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


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("optimizer", settings_of(RecipeFields)["optimizer"].choices)
def test_what_is_decayed_is_what_timm_decays(name, optimizer):
    settings = dataclasses.replace(recipes.get("small_data"), optimizer=optimizer)
    optimizer = make_optimizer(settings, 0.1, num_layers=3)
    variables = small(name).trainable_variables
    optimizer.build(variables)
    decayed = [timm_name(one.path) for one in variables if optimizer.uses_weight_decay(one)]
    assert sorted(decayed) == GROUPS[name]["decayed"]


@pytest.mark.parametrize(
    "make", [LAMB, SGD, lambda rate, **settings: LayerwiseAdamW(rate, layer_decay=0.5, num_layers=1, **settings)]
)
def test_a_weight_decay_of_none_is_no_decay(make):
    assert make(RATE, weight_decay=None).get_config()["weight_decay"] == 0.0


@pytest.mark.parametrize(
    "optimizer",
    [LAMB(0.1, weight_decay=0.2), SGD(0.1, weight_decay=0.2), LayerwiseAdamW(0.1, layer_decay=0.5, num_layers=3)],
)
def test_the_configuration_brings_the_optimizer_back(optimizer):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.decay == optimizer.decay


@pytest.mark.parametrize("optimizer", [AdamW, LAMB])
def test_an_epsilon_that_vanishes_in_float16_is_refused(optimizer):
    weight = keras.Variable([1.0, 2.0], dtype="float16")
    with pytest.raises(ValueError, match='epsilon=1e-08. Build the model with dtype="mixed_float16"'):
        optimizer(0.1, epsilon=1e-8).build([weight])
    optimizer(0.1, epsilon=1e-6).build([weight])
    optimizer(0.1, epsilon=1e-8).build([keras.Variable([1.0], dtype="float32")])


def sgd(rate, **options):
    return SGD(rate, momentum=0.9, **options)


def layerwise(rate, **options):
    return LayerwiseAdamW(rate, layer_decay=0.5, num_layers=3, **options)


LIST_OPTIMIZERS = [LAMB, sgd, AdamW, layerwise]


@pytest.mark.parametrize("make", LIST_OPTIMIZERS)
def test_averages_of_the_weights_start_as_copies_and_follow_them(make):
    values = variables()
    optimizer = make(RATE, weight_decay=DECAY, use_ema=True, ema_momentum=0.75)
    optimizer.build(list(values.values()))
    expected = None
    for gradients in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradients[name].astype("float32")) for name in values])
        now = [keras.ops.convert_to_numpy(value).astype("float64") for value in values.values()]
        expected = now if expected is None else [0.75 * e + 0.25 * n for e, n in zip(expected, now, strict=True)]
    optimizer.finalize_variable_values(list(values.values()))
    for value, average in zip(values.values(), expected, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), average, atol=1e-6)


@pytest.mark.parametrize("make", LIST_OPTIMIZERS)
def test_a_gradient_that_is_not_finite_makes_all_weights_nan_when_the_norm_is_clipped(make):
    values = list(variables().values())
    optimizer = make(RATE, global_clipnorm=1.0)
    gradients = [np.ones(value.shape, "float32") for value in values]
    gradients[0][0, 0] = np.inf
    optimizer.build(values)
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    assert all(np.isnan(keras.ops.convert_to_numpy(value)).all() for value in values)


@pytest.mark.parametrize("make", LIST_OPTIMIZERS)
@pytest.mark.parametrize("of_gradient", ["bfloat16", "float32"])  # float32 after a loss scale
def test_weights_in_bfloat16_keep_their_dtype(make, of_gradient):
    with keras.name_scope("class_head"):
        value = keras.Variable(np.ones(3), dtype="bfloat16")
    beta = {} if make is sgd else {"beta_2": 0.99}
    optimizer = make(0.125, global_clipnorm=10.0, use_ema=True, **beta)
    optimizer.build([value])
    optimizer.apply([keras.ops.ones(3, of_gradient)])
    assert keras.backend.standardize_dtype(value.dtype) == "bfloat16"
    assert 0.5 < float(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))[0]) < 1


@pytest.mark.parametrize("optimizer", [AdamW, LAMB])
def test_a_decay_rate_that_is_1_in_bfloat16_is_refused(optimizer):
    weight = keras.Variable([1.0, 2.0], dtype="bfloat16")
    assert float(keras.ops.cast(keras.ops.cast(0.999, "bfloat16"), "float32")) == 1  # so the mean square would stay 0
    with pytest.raises(ValueError, match='beta_2=0.999. Build the model with dtype="mixed_bfloat16"'):
        optimizer(0.1).build([weight])
    optimizer(0.1, beta_2=0.99).build([weight])


@pytest.mark.parametrize("base", [LAMB, SGD, AdamW])
def test_a_subclass_takes_its_own_steps(base):
    class Ascent(base):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_add(variable, gradient)

    value = keras.Variable([1.0, 2.0])
    optimizer = Ascent(RATE, weight_decay=0.0)
    optimizer.build([value])
    optimizer.apply([keras.ops.convert_to_tensor([3.0, 5.0])])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(value), [4.0, 7.0])


@pytest.mark.parametrize("make", LIST_OPTIMIZERS)
def test_accumulated_gradients_are_averaged_before_a_step(make):
    values, expected = list(variables().values()), list(variables().values())
    accumulating, plain = make(RATE, gradient_accumulation_steps=2, use_ema=True), make(RATE)
    accumulating.build(values)
    plain.build(expected)
    first, second = (list(gradients.values()) for gradients in GRADIENTS[:2])
    for gradients in (first, second):
        accumulating.apply([keras.ops.convert_to_tensor(gradient.astype("float32")) for gradient in gradients])
    means = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
    plain.apply([keras.ops.convert_to_tensor(mean.astype("float32")) for mean in means])
    for value, other in zip(values, expected, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(other), atol=2e-6)


@pytest.mark.parametrize("make", LIST_OPTIMIZERS)
@pytest.mark.parametrize(
    ("option", "clipped"),
    [
        ({"clipvalue": 0.25}, lambda gradient: np.clip(gradient, -0.25, 0.25)),
        ({"clipnorm": 0.5}, lambda gradient: gradient * min(1, 0.5 / np.linalg.norm(gradient))),
        ({"global_clipnorm": -1.0}, lambda gradient: gradient),  # Keras clips by positive norms only
    ],
)
def test_each_clipping_is_that_of_keras(make, option, clipped):
    received, expected = trained(make(RATE, **option)), trained(make(RATE), scaled=clipped)
    for name, value in expected.items():
        np.testing.assert_allclose(received[name], value, atol=2e-6)
