"""The function that is converted to LiteRT computes the model's logits, by fewer operations."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export.litert_graph import deit_function
from keras_deit.fusion import EARLY_FUSIONS
from keras_deit.models.classifier import LATE_FUSIONS
from tests.export.litert_files import operations
from tests.export.students import images, needs_litert, student, tensorflow_only

DEIT3 = dict(distilled=False, prefix_positions=False, layer_scale_init=0.1)


def largest_difference(classifier, batch):
    logits = deit_function(classifier)(keras.ops.convert_to_tensor(batch))
    return np.abs(keras.ops.convert_to_numpy(logits - classifier(batch))).max()


@tensorflow_only
@pytest.mark.parametrize("fusion", [*EARLY_FUSIONS, *LATE_FUSIONS])
def test_every_fusion(fusion):
    assert largest_difference(kd.DeiTClassifier(student(), fusion=fusion), images(3)) < 1e-5


@tensorflow_only
@pytest.mark.parametrize(
    "overrides", [dict(distilled=False), DEIT3, dict(image_size=(16, 40))], ids=["one_token", "deit3", "rectangle"]
)
def test_every_kind_of_student(overrides):
    model = student(**overrides)
    assert largest_difference(kd.DeiTClassifier(model), np.resize(images(3), (3, *model.image_size, 3))) < 1e-5


@tensorflow_only
def test_pixels_are_normalised():
    classifier = kd.DeiTClassifier(student(preprocessing={"mean": (0.3, 0.4, 0.5), "std": (0.2, 0.25, 0.3)}))
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    normalised = (pixels / 255 - np.float32([0.3, 0.4, 0.5])) / np.float32([0.2, 0.25, 0.3])
    logits = deit_function(classifier, classifier.image_processor())(keras.ops.convert_to_tensor(pixels))
    np.testing.assert_allclose(logits, classifier(normalised), atol=1e-5)


@needs_litert
def test_the_operations_of_an_encoder_block(exported):
    names = [name for name, *_ in operations(exported[1] / "student.tflite")]
    first, second = (index for index, name in enumerate(names) if name == "GELU")
    assert second - first == 30
    layer_norm = ["MUL", "MEAN", "ADD", "RSQRT", "MUL"]
    assert names[first : first + 8] == ["GELU", "FULLY_CONNECTED", "ADD", *layer_norm]
