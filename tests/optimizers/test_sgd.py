"""SGD against NumPy."""

import numpy as np
import pytest

from keras_deit.optimizers import SGD
from tests.optimizers.steps import DECAY, RATE, assert_trained_as


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_sgd_adds_the_decay_to_the_gradient(momentum, nesterov):
    def step(value, gradient, state, number, decay):
        gradient = gradient + decay * value
        state["m"] = momentum * state.get("m", np.zeros(())) + gradient
        return value - RATE * (gradient + momentum * state["m"] if nesterov else state["m"])

    assert_trained_as(lambda: SGD(RATE, momentum=momentum, nesterov=nesterov, weight_decay=DECAY), step)
