"""The gradient of one step of the Distiller against a program in plain PyTorch.

One step of SGD with learning rate 1 takes the gradient off each weight, so the gradient is what the weight was minus
what it is: through `fit`, as users train, with sample weights, stored outputs of a teacher and integer labels.
"""

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.goldens import reference
from tests.goldens.make_goldens import FOLDER
from tests.goldens.weights import fill


def _golden(form):
    with np.load(FOLDER / f"gradients_{form}.npz") as stored:
        gradients = dict(stored)
    return float(gradients.pop("loss")), gradients


def _assert_close(gradient, expected, tolerance):
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-2))


@pytest.mark.parametrize("form", reference.FORMS)
def test_one_step_of_fit_takes_the_reference_gradient(form):
    settings, (loss, golden) = reference.FORMS[form], _golden(form)
    student = fill(kd.DeiT(**reference.ARGUMENTS))
    before = {weight.path: ops.convert_to_numpy(weight).astype("float64") for weight in student.weights}
    distiller = kd.Distiller(
        student,
        None,
        distillation=settings.distillation,
        alpha=settings.alpha,
        temperature=settings.temperature,
    )
    criterion = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    distiller.compile(keras.optimizers.SGD(1.0), loss=criterion)
    history = distiller.fit(
        {"image": reference.IMAGES, "teacher": reference.TEACHER_LOGITS},
        reference.LABELS,
        sample_weight=reference.SAMPLE_WEIGHTS,
        batch_size=len(reference.LABELS),
        epochs=1,
        verbose=0,
    )
    assert history.history["loss"][0] == pytest.approx(loss, rel=1e-5)
    assert sorted(golden) == sorted(before)
    for weight in student.weights:
        gradient = before[weight.path] - ops.convert_to_numpy(weight).astype("float64")
        _assert_close(gradient, golden[weight.path], tolerance=1e-4)


@pytest.mark.parametrize("form", reference.FORMS)
def test_every_weight_has_a_gradient_to_compare(form):
    for path, gradient in _golden(form)[1].items():
        assert np.abs(gradient).max() > 1e-4, path


@pytest.mark.parametrize("form", reference.FORMS)
def test_goldens_are_what_the_reference_computes_today(form):
    pytest.importorskip("torch", reason="the reference is a program in PyTorch")
    (stored_loss, stored), (loss, gradients) = _golden(form), reference.gradients(form)
    assert loss == pytest.approx(stored_loss, rel=1e-9)
    for path, gradient in gradients.items():
        _assert_close(gradient, stored[path], tolerance=1e-6)
