"""Gradient accumulation, against the step on the whole batch."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.training.accumulation import accumulating
from tests.distiller.test_replicas import replicas

CLASSES, BATCH_SIZE, STEPS = 5, 12, 6
BACKEND = keras.backend.backend()


def student():
    arguments = dict(image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, drop_path_rate=0.0)
    return kd.DeiT(num_classes=CLASSES, **arguments)


def data():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH_SIZE * STEPS, 16, 16, 3)).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[rng.integers(CLASSES, size=len(images))]
    mixed = 0.7 * labels + 0.3 * labels[::-1]
    return images, mixed, rng.uniform(0, 2, size=len(images)).astype("float32")


def optimizer():
    schedule = keras.optimizers.schedules.CosineDecay(0.2, STEPS)
    return kd.optimizers.SGD(
        schedule, momentum=0.9, global_clipnorm=0.5, weight_decay=0.01, use_ema=True, ema_momentum=0.5
    )


def compiled(parts, distils, **options):
    keras.utils.set_random_seed(3)
    if distils:
        teacher = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
        model = accumulating(kd.Distiller, parts)(student(), teacher, distillation="soft")
    else:
        model = accumulating(kd.DeiTClassifier, parts)(student())
        options["weighted_metrics"] = ["accuracy"]
    model.compile(optimizer(), keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), **options)
    return model


def trained(parts, distils, num_replicas=1, **options):
    images, labels, weights = data()
    with replicas(num_replicas):
        model = compiled(parts, distils, **options)
        logs = model.fit(images, labels, sample_weight=weights, batch_size=BATCH_SIZE, shuffle=False, verbose=0).history
        state = [
            keras.ops.convert_to_numpy(value) for value in (*model.trainable_variables, *model.optimizer.variables)
        ]
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return state, logs, rate


def assert_same(received, expected):
    (state, logs, rate), (expected_state, expected_logs, expected_rate) = received, expected
    for one, other in zip(state, expected_state, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max()))
    assert set(logs) == set(expected_logs)
    for name, values in expected_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=2e-5, err_msg=name)
    assert rate == expected_rate


@pytest.mark.parametrize("distils", [True, False])
def test_the_update_of_parts_is_that_of_the_whole_batch(distils):
    whole = trained(1, distils)
    assert_same(trained(3, distils), whole)
    if BACKEND != "torch" and distils:
        assert_same(trained(3, distils, num_replicas=2), whole)
    if BACKEND == "tensorflow" and not distils:
        assert_same(trained(3, distils, jit_compile=True), whole)  # as Keras compiles on a GPU


def test_one_part_needs_no_class_of_its_own():
    assert accumulating(kd.Distiller, 1) is kd.Distiller


def test_parts_must_divide_the_batch():
    images, labels, _ = data()
    model = compiled(5, distils=True)
    with pytest.raises(ValueError, match="The 5 parts must divide the batch. Received: a batch of 12 images"):
        model.train_on_batch(images[:12], labels[:12])
