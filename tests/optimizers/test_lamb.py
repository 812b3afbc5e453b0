"""LAMB against NumPy."""

import numpy as np

from keras_deit.optimizers import LAMB
from tests.optimizers.steps import DECAY, RATE, adam_direction, assert_trained_as


def test_lamb_decays_inside_the_trust_ratio_and_skips_it_without_decay():
    def step(value, gradient, state, number, decay):
        update = adam_direction(gradient, state, number, 1e-6) + decay * value
        norms = np.linalg.norm(value), np.linalg.norm(update)
        ratio = norms[0] / norms[1] if decay and min(norms) > 0 else 1.0
        return value - RATE * ratio * update

    assert_trained_as(lambda: LAMB(RATE, epsilon=1e-6, weight_decay=DECAY), step)
