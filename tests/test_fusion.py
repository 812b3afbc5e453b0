"""Fusion of two heads' logits against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.fusion import EARLY_FUSIONS, fuse
from tests import numpy_reference
from tests.goldens.weights import noise

CLASS, DISTILLATION = 3 * noise("class", (4, 7)), 3 * noise("distillation", (4, 7))


def _fuse(*logits, fusion):
    logits = [None if one is None else ops.convert_to_tensor(one) for one in logits]
    return ops.convert_to_numpy(fuse(*logits, fusion=fusion))


def _expected(class_logits, distillation_logits, fusion):
    class_logits, distillation_logits = class_logits.astype("float64"), distillation_logits.astype("float64")
    probabilities = (numpy_reference.softmax(class_logits) + numpy_reference.softmax(distillation_logits)) / 2
    return {
        "mean_logits": (class_logits + distillation_logits) / 2,
        "mean_probabilities": np.log(probabilities),
        "class": class_logits,
        "distillation": distillation_logits,
    }[fusion]


@pytest.mark.parametrize("fusion", EARLY_FUSIONS)
def test_equals_the_formula(fusion):
    fused = _fuse(CLASS, DISTILLATION, fusion=fusion)
    assert fused.dtype == "float32"
    np.testing.assert_allclose(fused, _expected(CLASS, DISTILLATION, fusion), atol=1e-5)


def test_mean_of_logits_is_the_default():
    fused = ops.convert_to_numpy(fuse(ops.convert_to_tensor(CLASS), ops.convert_to_tensor(DISTILLATION)))
    np.testing.assert_allclose(fused, (CLASS + DISTILLATION) / 2, atol=1e-6)


def test_mean_probabilities_returns_log_probabilities_that_differ_from_the_mean_of_logits():
    fused = _fuse(
        np.log([[0.9, 0.1]]).astype("float32"), np.log([[0.5, 0.5]]).astype("float32"), fusion="mean_probabilities"
    )
    np.testing.assert_allclose(np.exp(fused), [[0.7, 0.3]], atol=1e-6)
    other = _fuse(np.log([[0.9, 0.1]]).astype("float32"), np.log([[0.5, 0.5]]).astype("float32"), fusion="mean_logits")
    np.testing.assert_allclose(numpy_reference.softmax(other.astype("float64")), [[0.75, 0.25]], atol=1e-6)


@pytest.mark.parametrize("fusion", EARLY_FUSIONS)
def test_extreme_logits_stay_finite(fusion):
    class_logits = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], "float32")
    distillation_logits = np.array([[-1e4, 1e4, 0.0], [1e4, 1e4, 1e4]], "float32")
    fused = _fuse(class_logits, distillation_logits, fusion=fusion)
    assert np.all(np.isfinite(fused))
    if fusion == "mean_probabilities":
        expected = [[np.log(0.5), np.log(0.5), -1e4 - np.log(2) + np.log(2)], [np.log(1 / 3)] * 3]
        np.testing.assert_allclose(fused, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 7)])
@pytest.mark.parametrize("fusion", EARLY_FUSIONS)
def test_any_number_of_leading_axes(shape, fusion):
    one, two = noise("one", shape), noise("two", shape)
    np.testing.assert_allclose(_fuse(one, two, fusion=fusion), _expected(one, two, fusion), atol=1e-5)


@pytest.mark.parametrize("fusion", ["mean_logits", "class"])
def test_the_mean_of_one_head_is_the_class_logits(fusion):
    np.testing.assert_array_equal(_fuse(CLASS, None, fusion=fusion), CLASS)


def test_mean_probabilities_of_one_head_are_its_log_probabilities():
    expected = numpy_reference.log_softmax(CLASS.astype("float64"))
    np.testing.assert_allclose(_fuse(CLASS, None, fusion="mean_probabilities"), expected, atol=1e-5)


def test_the_distillation_head_is_required_for_its_logits():
    with pytest.raises(ValueError, match="fusion='distillation' needs a distillation head"):
        fuse(CLASS, None, fusion="distillation")


@pytest.mark.parametrize("fusion", ["mean", "concat", None])
def test_an_unknown_fusion_is_refused_with_the_known_names(fusion):
    with pytest.raises(ValueError, match="'mean_logits', 'mean_probabilities', 'class', 'distillation'") as error:
        fuse(CLASS, DISTILLATION, fusion=fusion)
    assert f"fusion={fusion!r}" in str(error.value)


@pytest.mark.parametrize("fusion", EARLY_FUSIONS)
def test_symbolic_logits_have_the_shape_of_the_inputs(fusion):
    fused = fuse(keras.Input((7,)), keras.Input((7,)), fusion=fusion)
    assert (fused.shape, fused.dtype) == ((None, 7), "float32")
