"""The distillation step and its two parts alone."""

import keras
import numpy as np
import pytest

from keras_deit.benchmark import distillation
from keras_deit.benchmark.distillation import distillation_step, student_step, teacher_step
from keras_deit.benchmark.setting import NUM_CLASSES


def small_teacher(_):
    """A teacher that compiles quickly."""
    return keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(NUM_CLASSES)]
    )


def test_a_distillation_step_lowers_the_loss(make_setting, monkeypatch):
    monkeypatch.setattr(distillation, "_teacher", small_teacher)
    step = distillation_step(make_setting("distillation", "bfloat16"))
    losses = [float(step()) for _ in range(3)]
    assert losses[2] < losses[0]


@pytest.mark.parametrize("distilled", [True, False])
def test_the_student_alone_trains_each_of_its_heads(distilled, make_setting):
    step = student_step(make_setting("distillation", distilled=distilled))
    losses = [float(step()) for _ in range(3)]
    assert losses[2] < losses[0]
    # A sum over the heads: fresh heads give a cross-entropy of about log(1000) each.
    assert losses[0] == pytest.approx((2 if distilled else 1) * np.log(1000), rel=0.2)


def test_the_teacher_alone_returns_its_logits(make_setting):
    logits = teacher_step(make_setting("distillation"))()
    assert logits.shape == (2, 1000)
    assert np.isfinite(logits).all()
