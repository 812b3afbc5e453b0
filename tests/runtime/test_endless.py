"""Batches without an end need a number of steps."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.runtime.endless import check_steps, mark_endless
from tests.data.pipeline.first_batches import skip_without


def test_only_marked_data_need_steps():
    endless = mark_endless(number for number in range(3))
    check_steps("steps", 3, endless)
    for data in (None, np.zeros(3), [1, 2], (1,), {"a": 1}, (number for number in range(3))):
        check_steps("steps", None, data)
    with pytest.raises(ValueError, match="have no end. Pass `steps`, for an epoch `steps=pipeline.steps`"):
        check_steps("steps", None, endless)


@pytest.mark.parametrize("pipeline", ["tf.data", "python", "grain"])
def test_training_batches_without_steps_are_refused_and_with_steps_end(pipeline):
    skip_without(pipeline)
    data = kd.data.ImageData("mine", np.zeros((12, 16, 16, 3), "uint8"), np.arange(12) % 2, ("a", "b"))
    inputs = kd.data.InputPipeline(data, image_size=16, batch_size=4, pipeline=pipeline, num_workers=0)
    options = dict(num_classes=2, image_size=16, patch_size=8, hidden_dim=8, num_layers=1, num_heads=1)
    student = kd.DeiT(**options)
    teacher = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    for model in (kd.DeiTClassifier(student), kd.Distiller(student, teacher)):
        model.compile("sgd", loss=loss)
        with pytest.raises(ValueError, match="`steps_per_epoch=pipeline.steps`"):
            model.fit(inputs.training_batches(), verbose=0)
        with pytest.raises(ValueError, match="`validation_steps`"):
            model.fit(inputs.evaluation_batches(), validation_data=inputs.training_batches(), verbose=0)
        with pytest.raises(ValueError, match="`steps`"):
            model.evaluate(inputs.training_batches(), verbose=0)
        model.fit(inputs.training_batches(), steps_per_epoch=inputs.steps, verbose=0)
        assert int(model.optimizer.iterations) == 3
