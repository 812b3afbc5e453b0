"""AdamW against NumPy."""

import numpy as np

from keras_deit.optimizers import AdamW
from tests.optimizers.steps import DECAY, RATE, adam_direction, assert_trained_as


def test_adamw_decays_apart_from_the_update():
    def step(value, gradient, state, number, decay):
        return value * (1 - RATE * decay) - RATE * adam_direction(gradient, state, number, 1e-8)

    assert_trained_as(lambda: AdamW(RATE, epsilon=1e-8, weight_decay=DECAY), step)


def test_amsgrad_divides_by_the_largest_mean_square():
    def step(value, gradient, state, number, decay):
        state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
        state["v"] = 0.99 * state.get("v", 0) + 0.01 * gradient**2
        state["largest"] = np.maximum(state.get("largest", 0), state["v"])
        rate = RATE * np.sqrt(1 - 0.99**number) / (1 - 0.9**number)
        return value * (1 - RATE * decay) - rate * state["m"] / (np.sqrt(state["largest"]) + 1e-8)

    assert_trained_as(lambda: AdamW(RATE, beta_2=0.99, epsilon=1e-8, weight_decay=DECAY, amsgrad=True), step)
