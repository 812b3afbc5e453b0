"""LayerwiseAdamW against NumPy and against timm's parameter groups."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.optimizers import LayerwiseAdamW
from keras_deit.training.recipe_optimizer import make_optimizer
from keras_deit.weights.names import timm_name
from tests.optimizers.steps import DECAY, RATE, adam_direction
from tests.optimizers.timm_groups import GROUPS, LAYOUTS, small


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
    pairs = list(zip(gradients, model.trainable_variables, strict=True))[::-1]  # not in the order of `build`
    optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient, _ in pairs], [one for _, one in pairs])
    for gradient, one in pairs:
        rate = RATE * optimizer.scale(one.path)
        expected = before[one.path] * (1 - rate * DECAY) - rate * adam_direction(gradient, {}, 1, 1e-8)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(one), expected, atol=2e-6, err_msg=one.path)
