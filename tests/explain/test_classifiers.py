"""The usual classifiers of a table of disagreements."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.explain import Head, student_and_teacher
from keras_deit.explain.classifiers import predict_batches
from tests.explain.models import random_deit, random_images

pytestmark = pytest.mark.backend_independent


def test_the_heads_of_a_student_and_its_teacher_are_listed():
    deit, teacher = random_deit(), keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(5)])
    teacher.build((None, 24, 16, 3))
    distiller = kd.Distiller(deit, teacher)
    models = student_and_teacher(distiller)
    assert list(models) == ["teacher", "class", "distillation", "fused"]
    assert models["teacher"] is distiller.teacher
    assert models["class"] == Head(deit, "class")
    assert list(student_and_teacher(deit)) == ["class", "distillation", "fused"]
    assert list(student_and_teacher(deit, teacher=deit)) == ["teacher", "class", "distillation", "fused"]


@pytest.mark.parametrize("options", [{"fusion": "class"}, {"fusion": "concat"}, {"token_merging": 2}])
def test_heads_that_do_not_make_the_prediction_are_not_listed(options):
    assert list(student_and_teacher(kd.DeiTClassifier(random_deit(), **options))) == ["student"]
    assert list(student_and_teacher(random_deit(distilled=False))) == ["student"]


def test_all_heads_are_computed_in_one_pass(monkeypatch):
    deit, calls = random_deit(), []
    call = kd.DeiT.call
    monkeypatch.setattr(kd.DeiT, "call", lambda self, *args, **kwargs: calls.append(1) or call(self, *args, **kwargs))
    (outputs,) = predict_batches(student_and_teacher(deit), random_images(3))
    assert len(calls) == 1
    np.testing.assert_allclose(outputs["fused"], (outputs["class"] + outputs["distillation"]) / 2, rtol=1e-5)


def test_heads_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of \('class', 'fused'\), for this model"):
        Head(random_deit(distilled=False), "distillation")
    with pytest.raises(ValueError, match="`deit` must be a keras_deit.DeiT. Received: DeiTClassifier"):
        Head(kd.DeiTClassifier(random_deit()), "class")
