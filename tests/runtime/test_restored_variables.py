"""Models keep their variables when a step fails, on every backend."""

import keras
import numpy as np
import pytest

import keras_deit as kd

SMALL = dict(num_classes=2, image_size=32, patch_size=16, hidden_dim=24, num_layers=1, num_heads=2)
IMAGES = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
LABELS = np.array([0, 1, 0, 1])


class Refused(keras.utils.PyDataset):
    """Two batches, the first of raw pixels."""

    num_batches = 2

    def __getitem__(self, index):
        return (IMAGES * 0 + 200 if index == 0 else IMAGES), LABELS


MODELS = {
    "classifier": lambda: kd.DeiTClassifier(kd.DeiT(**SMALL)),
    "convnet": lambda: kd.RegNetY.from_variant("regnety_002", num_classes=2, depths=(1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("action", ["fit", "evaluate", "predict"])
def test_a_refused_batch_leaves_the_variables_as_they_were(name, action):
    model = MODELS[name]()
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before, outputs = model.get_weights(), keras.ops.convert_to_numpy(model(IMAGES))
    with pytest.raises(ValueError, match="must be normalised by mean and standard deviation"):
        getattr(model, action)(Refused(), verbose=0)
    for value, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), outputs, rtol=1e-5, atol=1e-5)


def test_a_callback_that_fails_leaves_the_weights_of_its_step_and_fit_goes_on():
    """Plain SGD computed twice: an interrupted and continued training, beside an undisturbed one."""

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    first = MODELS["classifier"]()
    second = type(first).from_config(first.get_config())
    second.set_weights(first.get_weights())
    for model in (first, second):
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    first.fit(IMAGES, LABELS, batch_size=4, epochs=2, shuffle=False, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        second.fit(IMAGES, LABELS, batch_size=4, shuffle=False, verbose=0, callbacks=[Stop()])
    second.fit(IMAGES, LABELS, batch_size=4, shuffle=False, verbose=0)
    for value, expected in zip(second.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
