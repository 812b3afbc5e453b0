"""The moving average of the weights."""

import keras
import numpy as np

from keras_deit.training.weight_average import KeepWeights, averaged

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.normal(size=(16, 3)).astype("float32"), RNG.normal(size=(16, 2)).astype("float32")


def linear(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.compile(keras.optimizers.SGD(0.1, **options), loss="mse")
    return model


def test_fit_leaves_the_trained_weights_and_the_average_replaces_them_within_the_context():
    average, plain = None, linear()
    for _ in range(2):
        for start in range(0, 16, 4):
            plain.train_on_batch(INPUTS[start : start + 4], TARGETS[start : start + 4])
            kernel = plain.get_weights()[0].astype("float64")
            average = kernel if average is None else 0.75 * average + 0.25 * kernel
    model = linear(use_ema=True, ema_momentum=0.75)
    model.fit(INPUTS, TARGETS, batch_size=4, epochs=2, shuffle=False, callbacks=[KeepWeights()], verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-5)
    trained = model.get_weights()[0]
    with averaged(model):
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)
        assert np.abs(model.get_weights()[0] - kernel).max() > 1e-3
    np.testing.assert_array_equal(model.get_weights()[0], trained)
