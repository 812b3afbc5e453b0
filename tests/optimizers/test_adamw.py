"""AdamW against NumPy."""

import numpy as np

from keras_deit.optimizers import AdamW
from tests.optimizers.steps import DECAY, RATE, adam_direction, assert_trained_as, trained


def test_adamw_decays_apart_from_the_update():
    def step(value, gradient, state, number, decay):
        return value * (1 - RATE * decay) - RATE * adam_direction(gradient, state, number, 1e-8)

    assert_trained_as(AdamW(RATE, epsilon=1e-8, weight_decay=DECAY), step)


def test_the_step_of_amsgrad_is_that_of_keras():
    class PerVariable(AdamW):
        def update_step(self, gradient, variable, learning_rate):  # its own, so taken one variable after the other
            super().update_step(gradient, variable, learning_rate)

    make = dict(weight_decay=DECAY, amsgrad=True)
    received, expected = trained(AdamW(RATE, **make)), trained(PerVariable(RATE, **make))
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value)
