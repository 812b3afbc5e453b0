"""The fused classifier against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT, DeiTClassifier, Preprocessing, lora
from tests import numpy_reference
from tests.battery import check_model, weights_of
from tests.goldens.weights import fill, noise

SMALL = dict(num_classes=5, image_size=32, patch_size=8, num_layers=2, hidden_dim=48, num_heads=3)
EARLY = ["mean_logits", "mean_probabilities", "class", "distillation"]
LATE = ["concat", "sum"]


def small(fusion="mean_logits", **overrides):
    return DeiTClassifier.from_variant("deit_ti", fusion=fusion, **{**SMALL, **overrides})


def _expected(model, images):
    """The logits of each fusion, from the tokens of a NumPy transformer."""
    weights = weights_of(model)
    tokens, _ = numpy_reference.backbone(images.astype("float64"), weights, 2, 3)
    tokens = {"class": tokens[:, 0], "distillation": tokens[:, 1]}
    if model.fusion in LATE:
        joined = np.concatenate(list(tokens.values()), axis=-1) if model.fusion == "concat" else sum(tokens.values())
        return numpy_reference.dense(joined, numpy_reference.subweights(weights, "fusion_head"))
    logits = [numpy_reference.dense(tokens[key], numpy_reference.subweights(weights, f"{key}_head")) for key in tokens]
    return {
        "mean_logits": sum(logits) / 2,
        "mean_probabilities": np.log(sum(numpy_reference.softmax(one) for one in logits) / 2),
        "class": logits[0],
        "distillation": logits[1],
    }[model.fusion]


def test_battery_of_early_fusion():
    check_model(
        small,
        image_shape=(32, 32, 3),
        output_shapes=(5,),
        num_parameters=DeiT.from_variant("deit_ti", **SMALL).count_params(),
        other_sizes=[(16, 32)],
        policies=("mixed_bfloat16",),
    )


@pytest.mark.parametrize("fusion", [*EARLY, *LATE])
def test_fusion_equals_the_formula(fusion):
    classifier, images = fill(small(fusion)), noise("images", (2, 32, 32, 3))
    expected = _expected(classifier, images)
    assert classifier.output_shape == (None, 5)
    np.testing.assert_allclose(ops.convert_to_numpy(classifier(images)), expected, atol=2e-5)
    logits, maps = classifier.call_with_attention(images)
    np.testing.assert_allclose(ops.convert_to_numpy(logits), expected, atol=2e-5)
    assert [tuple(one.shape) for one in maps] == [(2, 3, 18, 18)] * 2


@pytest.mark.parametrize("fusion", ["mean_logits", "mean_probabilities", "class"])
def test_the_fused_logits_of_one_token_are_its_class_logits(fusion):
    classifier, images = fill(small(fusion, distilled=False)), noise("images", (2, 32, 32, 3))
    weights = weights_of(classifier)
    tokens, _ = numpy_reference.backbone(images.astype("float64"), weights, 2, 3)
    expected = numpy_reference.dense(tokens[:, 0], numpy_reference.subweights(weights, "class_head"))
    if fusion == "mean_probabilities":
        expected = numpy_reference.log_softmax(expected)
    np.testing.assert_allclose(ops.convert_to_numpy(classifier(images)), expected, atol=2e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(classifier.call_with_attention(images)[0]), expected, atol=2e-5)


@pytest.mark.parametrize("fusion", ["distillation", *LATE])
def test_fusions_that_need_two_tokens_are_refused_for_one(fusion):
    with pytest.raises(ValueError, match=f"fusion='{fusion}' needs two tokens"):
        small(fusion, distilled=False)


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="Received: fusion='mean'"):
        small("mean")


def test_anything_but_a_deit_is_refused():
    with pytest.raises(ValueError, match=r"must be a keras_deit.DeiT. Received: DeiTBackbone"):
        DeiTClassifier(DeiT.from_variant("deit_ti", **SMALL).backbone)


@pytest.mark.parametrize("fusion", ["mean_logits", "concat"])
def test_the_classifier_shares_the_variables_of_the_deit(fusion):
    deit = fill(DeiT.from_variant("deit_ti", **SMALL))
    classifier = DeiTClassifier(deit, fusion=fusion)
    assert classifier.deit is deit
    assert classifier.backbone is deit.backbone
    assert {id(weight) for weight in deit.backbone.weights} <= {id(weight) for weight in classifier.weights}
    images = noise("images", (2, 32, 32, 3))
    before = ops.convert_to_numpy(classifier(images))
    positions = deit.backbone.get_layer("prefix_tokens").positions
    positions.assign(2 * positions)
    assert np.abs(ops.convert_to_numpy(classifier(images)) - before).max() > 1e-3


def test_training_the_classifier_trains_the_deit():
    deit = DeiT.from_variant("deit_ti", **{**SMALL, "num_layers": 1})
    classifier = DeiTClassifier(deit)
    images, labels = noise("images", (2, 32, 32, 3)), np.arange(2)
    before = {head: ops.convert_to_numpy(logits) for head, logits in deit(images).items()}
    classifier.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(images, labels, verbose=0)
    for head, logits in deit(images).items():
        assert np.abs(ops.convert_to_numpy(logits) - before[head]).max() > 1e-4


@pytest.mark.eager("tensorflow")
@pytest.mark.parametrize("fusion", LATE)
def test_late_fusion_has_a_fresh_head_that_learns_and_is_saved(fusion, tmp_path):
    classifier = small(fusion, num_layers=1)
    images, labels = noise("images", (2, 32, 32, 3)), np.arange(2)
    head = classifier.get_layer("fusion_head")
    assert tuple(head.kernel.shape) == ((96, 5) if fusion == "concat" else (48, 5))
    before = ops.convert_to_numpy(head.kernel).copy()
    assert before.std() == pytest.approx(0.02, rel=0.15)
    classifier.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(classifier.fit(images, labels, verbose=0).history["loss"][0])
    assert np.any(ops.convert_to_numpy(head.kernel) != before)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.fusion == fusion
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(images)), ops.convert_to_numpy(classifier(images)), rtol=0, atol=1e-5
    )


def test_a_saved_classifier_no_longer_shares_variables(tmp_path):
    classifier = small()
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not {id(weight) for weight in classifier.weights} & {id(weight) for weight in loaded.weights}
    assert loaded.backbone is loaded.deit.backbone


@pytest.mark.parametrize("fusion", ["mean_probabilities", "concat"])
def test_logits_are_float32_under_mixed_precision(fusion):
    classifier = small(fusion, dtype="mixed_bfloat16")
    logits = classifier(noise("images", (2, 32, 32, 3)))
    assert keras.backend.standardize_dtype(logits.dtype) == classifier.output.dtype == "float32"
    assert classifier.dtype_policy.name == "mixed_bfloat16"


def test_properties_are_those_of_the_deit():
    classifier = small(image_size=(16, 32))
    assert (classifier.image_size, classifier.num_classes, classifier.num_prefix_tokens) == ((16, 32), 5, 2)


@pytest.mark.parametrize("fusion", ["mean_logits", "concat"])
@pytest.mark.parametrize(
    ("token_merging", "overrides"), [(2, {}), (100, {}), (3, {"distilled": False, "layer_scale_init": 0.5})]
)
def test_token_merging_equals_the_algorithm_of_the_paper(token_merging, overrides, fusion):
    if not overrides.get("distilled", True) and fusion in LATE:
        pytest.skip("the fusion needs two tokens")
    deit = fill(small(**overrides)).deit
    classifier, images = (
        DeiTClassifier(deit, fusion=fusion, token_merging=token_merging),
        noise("images", (2, 32, 32, 3)),
    )
    weights = weights_of(fill(classifier))
    tokens = numpy_reference.backbone_with_token_merging(images.astype("float64"), weights, 2, 3, token_merging)
    names = ["class", "distillation"][: deit.backbone.num_prefix_tokens]
    if fusion in LATE:
        joined = np.concatenate([tokens[:, 0], tokens[:, 1]], axis=-1)
        expected = numpy_reference.dense(joined, numpy_reference.subweights(weights, "fusion_head"))
    else:
        heads = [numpy_reference.subweights(weights, f"{name}_head") for name in names]
        logits = [numpy_reference.dense(tokens[:, index], head) for index, head in enumerate(heads)]
        expected = sum(logits) / len(logits)
    np.testing.assert_allclose(classifier.predict(images, verbose=0), expected, atol=2e-5)
    assert np.abs(DeiTClassifier(deit, fusion="class").predict(images, verbose=0) - expected).max() > 1e-3


def test_no_token_merging_is_the_same_model():
    classifier = fill(small(token_merging=0))
    assert classifier.token_merging == 0
    assert [layer.name for layer in classifier.layers] == ["images", "deit", "fuse"]


def test_a_classifier_that_merges_tokens_trains_and_is_saved(tmp_path):
    classifier, images = fill(small(token_merging=np.int64(3), distilled=True)), noise("images", (2, 32, 32, 3))
    before = classifier.get_weights()
    classifier.compile(keras.optimizers.SGD(0.1), "mse")
    classifier.fit(images, np.ones((2, 5)), verbose=0)
    assert all(np.any(old != new) for old, new in zip(before, classifier.get_weights(), strict=True))
    classifier.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.token_merging == 3
    expected = classifier.predict(images, verbose=0)
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, atol=1e-6)
    clone = keras.models.clone_model(classifier)
    clone.set_weights(classifier.get_weights())
    np.testing.assert_allclose(clone.predict(images, verbose=0), expected, atol=1e-6)
    half = small(token_merging=3, dtype="mixed_bfloat16")
    half.set_weights(classifier.get_weights())
    assert np.all(np.isfinite(half.predict(images, verbose=0)))


def test_token_merging_has_its_limits(tmp_path):
    with pytest.raises(
        ValueError, match="`token_merging` must be an integer of at least 0. Received: token_merging=-1"
    ):
        small(token_merging=-1)
    classifier = small(token_merging=2)
    with pytest.raises(
        ValueError, match="maps of a model that merges tokens do not cover the patches.*token_merging=2"
    ):
        classifier.call_with_attention(noise("images", (2, 32, 32, 3)))
    with pytest.raises(ValueError, match="fusion='sum'.` after `plain.set_weights.classifier.get_weights"):
        small("sum", token_merging=2).call_with_attention(noise("images", (2, 32, 32, 3)))
    classifier.save_weights(tmp_path / "b.weights.h5")
    other = small(token_merging=4)
    other.load_weights(tmp_path / "b.weights.h5")
    np.testing.assert_array_equal(other.get_weights()[0], classifier.get_weights()[0])


@pytest.mark.parametrize(("fusion", "num_weights"), [("class", 4), ("concat", 2)])  # of the heads
def test_weights_files_with_and_without_merging_are_told_apart(fusion, num_weights, tmp_path):
    path = tmp_path / "a.weights.h5"
    for saved, loaded, kind in [(2, 0, "a DeiTClassifier with"), (0, 2, "a Distiller or a DeiTClassifier without")]:
        source, classifier = fill(small(fusion, token_merging=saved)), small(fusion, token_merging=loaded)
        source.save_weights(path)
        with pytest.raises(
            ValueError, match=f"holds the weights of {kind} token_merging: .*DeiTClassifier.classifier.deit"
        ):
            classifier.load_weights(path)
        other = DeiTClassifier(classifier.deit, fusion=fusion, token_merging=saved and 1)  # as the message says
        other.load_weights(path)
        if fusion in LATE:
            classifier.set_weights(other.get_weights())
        assert len(classifier.weights) == len(classifier.backbone.weights) + num_weights
        values, expected = weights_of(classifier), weights_of(source)
        assert values.keys() == expected.keys()
        for name in values:
            np.testing.assert_array_equal(values[name], expected[name])


def test_the_weights_of_a_deit_are_no_weights_of_a_classifier_that_merges(tmp_path):
    classifier = small(token_merging=2)
    classifier.deit.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="a DeiT itself: load it with `classifier.deit.load_weights"):
        classifier.load_weights(tmp_path / "a.weights.h5")


def test_token_merging_is_no_positional_argument():
    classifier = DeiTClassifier(small().deit, "class", "float64", "named", token_merging=2)
    assert (classifier.dtype_policy.name, classifier.name, classifier.token_merging) == ("float64", "named", 2)
    assert DeiTClassifier.from_variant("deit_ti", "sum", "named", **SMALL).name == "named"


def test_a_file_keeps_merging_frozen_blocks_and_lora(tmp_path):
    classifier, images = small(token_merging=3), noise("images", (2, 32, 32, 3))
    classifier.freeze(1)
    lora.enable(classifier, rank=2, layers=["mlp"])
    fill(classifier).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    trained = [variable.path for variable in again.trainable_variables]
    assert trained == [variable.path for variable in classifier.trainable_variables]
    assert len(trained) == 2 * 2 + 2 * 2  # the matrices of the second block, and the heads
    expected = classifier.predict(images, verbose=0)
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, atol=1e-6)
    merged = lora.merge(classifier)
    assert merged.token_merging == 3
    weights = weights_of(merged)
    tokens = numpy_reference.backbone_with_token_merging(images.astype("float64"), weights, 2, 3, 3)
    heads = [numpy_reference.subweights(weights, f"{name}_head") for name in ("class", "distillation")]
    logits = sum(numpy_reference.dense(tokens[:, index], head) for index, head in enumerate(heads)) / 2
    np.testing.assert_allclose(expected, logits, atol=2e-5)


def test_class_names_and_preprocessing_can_be_assigned_and_are_saved(tmp_path):
    classifier = small()
    assert (classifier.class_names, classifier.preprocessing) == (None, None)
    classifier.class_names = ["a", "b", "c", "d", 5]
    classifier.preprocessing = {"crop_ratio": 1.0}
    classifier.save(tmp_path / "named.keras")
    loaded = keras.saving.load_model(tmp_path / "named.keras")
    assert loaded.class_names == loaded.deit.class_names == ("a", "b", "c", "d", "5")
    assert loaded.preprocessing == Preprocessing(crop_ratio=1.0)
    with pytest.raises(ValueError, match="one name per class. Received: 4 names, num_classes=5"):
        classifier.class_names = list("abcd")
    assert classifier.class_names[-1] == "5"
