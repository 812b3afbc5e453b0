"""What `compile` offers: how steps are run, optimisers, precision, and metrics."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.distiller.scripted import (
    BACKEND,
    CLASSES,
    INTEGERS,
    LEARNING_RATE,
    assert_same_weights,
    compiled,
    fit,
    random_logits,
    small_deit,
    small_images,
    weights_of,
)
from tests.toys import conv_teacher, script, scripted_student, softmax


@functools.cache
def trained_plainly():
    return trained()


def trained(options=None, epochs=3, batch_size=2, **arguments):
    """Weights of the scripted student after nine steps."""
    distiller = compiled(options=options, **arguments)
    logs = fit(distiller, script(*random_logits()), INTEGERS, batch_size=batch_size, epochs=epochs)
    return weights_of(distiller.student), logs


OPTIONS = {
    "run_eagerly": {"run_eagerly": True},
    "jit_compile": {"jit_compile": True},
    "no jit_compile": {"jit_compile": False},
    "steps_per_execution": {"steps_per_execution": 2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_how_steps_are_run_does_not_matter(options):
    if BACKEND == "torch" and options.get("steps_per_execution", 1) > 1:
        with pytest.raises(
            ValueError, match="Keras runs one step at a time on PyTorch.*Received: steps_per_execution=2"
        ):
            compiled(options=options)
        return
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("torch.compile needs a C++ compiler and half a minute")
    expected, logs = trained_plainly()
    received, others = trained(options)
    assert_same_weights(received, expected)
    for name, values in logs.items():
        np.testing.assert_allclose(others[name], values, rtol=1e-5)


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile needs a C++ compiler and half a minute")
def test_a_teacher_of_another_image_size_can_be_compiled_by_xla():
    smaller = kd.Teacher(lambda images: ops.tile(ops.reshape(images, (-1, 3)), (1, 2))[:, :CLASSES], image_size=1)
    expected, _ = trained(teacher=smaller)
    received, _ = trained({"jit_compile": True}, teacher=smaller)
    assert_same_weights(received, expected)


def test_accumulated_gradients_of_two_batches_are_those_of_one():
    accumulating = {"optimizer": keras.optimizers.SGD(LEARNING_RATE, gradient_accumulation_steps=2)}
    received, _ = trained(accumulating, batch_size=3, epochs=3)
    expected, _ = trained(batch_size=6, epochs=3)
    assert_same_weights(received, expected)


def test_global_clipnorm_bounds_the_step():
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(1.0, global_clipnorm=0.01)})
    before = weights_of(distiller.student)
    fit(distiller, script(*random_logits()), INTEGERS)
    steps = [after - value for after, value in zip(weights_of(distiller.student), before, strict=True)]
    np.testing.assert_allclose(np.sqrt(sum(np.sum(step**2) for step in steps)), 0.01, rtol=1e-3)


def test_averaged_weights_are_left_at_the_end():
    momentum, epochs = 0.5, 4
    trajectory = []
    distiller = compiled()
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: trajectory.append(weights_of(distiller.student)))
    images = script(*random_logits())
    fit(distiller, images, INTEGERS, epochs=epochs, callbacks=[record])
    averages = [np.zeros_like(value) for value in trajectory[0]]
    for step, weights in enumerate(trajectory):
        share = momentum if step else 0.0  # the first weights begin the average
        averages = [share * mean + (1 - share) * value for mean, value in zip(averages, weights, strict=True)]
    optimizer = keras.optimizers.SGD(LEARNING_RATE, use_ema=True, ema_momentum=momentum)
    averaging = compiled(options={"optimizer": optimizer})
    fit(averaging, images, INTEGERS, epochs=epochs)
    assert_same_weights(weights_of(averaging.student), averages, tolerance=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_float32_variables(policy):
    student = small_deit(dtype=policy)
    images, labels = small_images(), np.arange(8) % CLASSES
    teacher = conv_teacher(CLASSES, (16, 16, 3), dtype="float32")
    distiller = compiled(student, teacher, distillation="soft", options={"optimizer": keras.optimizers.Adam(0.01)})
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    before = weights_of(student)
    logs = fit(distiller, images, labels, epochs=8)
    assert np.all(np.isfinite(logs["loss"]))
    assert logs["loss"][-1] < logs["loss"][0]
    assert {variable.dtype for variable in distiller.trainable_variables} == {"float32"}
    assert any(
        np.abs(value - reference).max() > 1e-3 for value, reference in zip(weights_of(student), before, strict=True)
    )


def test_float16_scales_the_loss():
    student = scripted_student(dtype="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(LEARNING_RATE), initial_scale=2.0**40)
    distiller = compiled(student, options={"optimizer": optimizer})
    before = weights_of(student)
    logs = fit(distiller, script(*random_logits()), INTEGERS)
    # A loss times 2^40 overflows in the gradient: the step is left out and the scale halved.
    for value, reference in zip(weights_of(student), before, strict=True):
        np.testing.assert_array_equal(value, reference)
    assert float(ops.convert_to_numpy(optimizer.dynamic_scale)) == 2.0**39
    np.testing.assert_allclose(logs["loss"], 0.5 * (logs["class_loss"] + logs["distillation_loss"]), rtol=1e-5)


def test_a_scaled_loss_takes_the_step_of_an_unscaled_one():
    def steps(policy):
        student = scripted_student(dtype=policy)
        optimizer = keras.optimizers.SGD(LEARNING_RATE)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
        before = weights_of(student)
        fit(compiled(student, options={"optimizer": optimizer}), script(*random_logits()), INTEGERS)
        return np.concatenate(
            [(after - value).ravel() for after, value in zip(weights_of(student), before, strict=True)]
        )

    half, single = steps("mixed_float16"), steps("float32")
    np.testing.assert_allclose(np.linalg.norm(half - single), 0, atol=0.02 * np.linalg.norm(single))


def test_settings_that_a_callback_changes_hold_from_the_next_step_on():
    """A compiled step would keep the former values."""
    logits = random_logits()
    other = random_logits(1)[2][:1]
    constant = ops.convert_to_tensor(other, "float32")
    distiller = compiled(distillation="soft", alpha=0.0, options={"optimizer": keras.optimizers.SGD(0.0)})

    def change(epoch, logs=None):
        distiller.alpha = [0.0, 1.0, 1.0, 1.0][epoch]
        distiller.temperature = [3.0, 3.0, 1.0, 1.0][epoch]
        if epoch == 3:
            distiller.teacher = lambda images: ops.tile(constant, (ops.shape(images)[0], 1))

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=change)
    data = script(*logits), INTEGERS
    validation = {"validation_data": data, "validation_batch_size": len(INTEGERS)}
    logs = fit(distiller, *data, epochs=4, batch_size=len(INTEGERS), callbacks=[callback], **validation)

    def divergence(teacher, temperature):
        p, q = softmax(teacher / temperature), softmax(logits[1] / temperature)
        return (np.sum(p * np.log(p / q), axis=-1) * temperature**2).mean()

    class_loss = -np.log(softmax(logits[0]))[np.arange(len(INTEGERS)), INTEGERS].mean()
    others = np.repeat(other, len(INTEGERS), axis=0)
    expected = [class_loss, divergence(logits[2], 3), divergence(logits[2], 1), divergence(others, 1)]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(logs["val_loss"], expected, rtol=1e-4)


def test_attention_distillation_cannot_begin_where_it_was_not_checked():
    with pytest.raises(ValueError, match="Build the Distiller with a positive `attention_weight`"):
        compiled().attention_weight = 0.5
