"""The moving average of the weights."""

import keras
import numpy as np

from keras_deit.training.averaging import averaged


def test_the_average_stands_in_for_a_while():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75), loss="mse")
    rng = np.random.default_rng(0)
    average = None
    for step in range(4):
        model.train_on_batch(rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(4, 2)).astype("float32"))
        kernel = model.get_weights()[0].astype("float64")
        average = kernel if step == 0 else 0.75 * average + 0.25 * kernel
    with averaged(model):
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0].astype("float64"), kernel)
