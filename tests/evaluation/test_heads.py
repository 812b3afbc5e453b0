"""The predictions of each head."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.evaluation.heads import Heads
from tests.toys import softmax

SHAPE = dict(num_classes=5, image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype("float32")


def test_two_heads_are_predicted_beside_their_fusion(images):
    deit = kd.DeiT(**SHAPE)
    expected = deit.predict(images, verbose=0)
    for fusion, fuse in (
        ("mean_logits", lambda one, two: (one + two) / 2),
        ("mean_probabilities", lambda one, two: np.log((softmax(one) + softmax(two)) / 2)),
    ):
        found = Heads(kd.DeiTClassifier(deit, fusion=fusion)).predict(images)
        assert set(found) == {"fused", "class", "distillation"}
        np.testing.assert_allclose(found["fused"], fuse(expected["class"], expected["distillation"]), rtol=1e-4)
        for head in ("class", "distillation"):
            np.testing.assert_allclose(found[head], expected[head], rtol=1e-5)
    np.testing.assert_allclose(Heads(deit).predict(images)["class"], expected["class"], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas of TensorFlow")
def test_each_image_has_one_prediction_on_several_replicas(images):
    tensorflow = pytest.importorskip("tensorflow")
    with tensorflow.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        deit = kd.DeiT(**SHAPE)
        found = Heads(deit).predict(images)
    for head, logits in deit(images).items():
        np.testing.assert_allclose(found[head], keras.ops.convert_to_numpy(logits), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["class", "distillation", "concat"])
def test_heads_that_the_fusion_leaves_out_are_not_reported(fusion, images):
    classifier = kd.DeiTClassifier(kd.DeiT(**SHAPE), fusion=fusion)
    found = Heads(classifier).predict(images)
    assert set(found) == {"fused"}
    np.testing.assert_allclose(found["fused"], classifier.predict(images, verbose=0), rtol=1e-5)


def test_a_model_that_merges_tokens_is_evaluated_as_a_whole(images):
    classifier = kd.DeiTClassifier(kd.DeiT(**SHAPE), token_merging=1)
    found = Heads(classifier).predict(images)
    assert set(found) == {"fused"}
    np.testing.assert_allclose(found["fused"], classifier.predict(images, verbose=0), rtol=1e-5)


def test_a_model_with_one_head_has_one_prediction(images):
    for model in (
        kd.DeiT(**SHAPE, distilled=False),
        kd.RegNetY(widths=(8,), depths=(1,), group_width=8, num_classes=5),
        keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(5)]),
    ):
        heads = Heads(model)
        assert (heads.num_classes, set(heads.predict(images))) == (5, {"fused"})


def test_other_models_and_several_classes_an_image_are_refused():
    with pytest.raises(ValueError, match="Expected a classifier with outputs .batch, classes.. Received: DeiTBackbone"):
        Heads(kd.DeiT(**SHAPE).backbone)
    with pytest.raises(ValueError, match="one class. Received: a model with `multi_label=True`"):
        Heads(kd.DeiT(**SHAPE, multi_label=True))


@pytest.mark.parametrize("shapes", [[(16, 16, 1)], [(3, 16, 16)], [(48,)], [(16, 16, 3), (2,)]])
def test_models_of_other_inputs_are_refused_in_one_line(shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    outputs = keras.layers.Concatenate()([keras.layers.Flatten()(one) for one in [*inputs, inputs[0]]])
    model = keras.Model(inputs[0] if len(inputs) == 1 else inputs, keras.layers.Dense(5)(outputs))
    with pytest.raises(
        ValueError, match=r"RGB images.*\(batch, height, width, 3\). Received: .*input_shape="
    ) as raised:
        Heads(model)
    assert len(str(raised.value)) < 400
    assert ("keras.ops.image.rgb_to_grayscale(images)" in str(raised.value)) == (shapes == [(16, 16, 1)])


def test_predictions_that_are_not_finite_are_refused(images):
    model = kd.DeiT(**SHAPE)
    model.get_layer("class_head").set_weights([np.full((16, 5), np.nan), np.zeros(5)])
    with pytest.raises(ValueError, match="predictions must be finite"):
        Heads(model).predict(images)
