"""DeiT against transformers' DeiT with the same weights: stored logits and, if transformers is installed, computed ones.

The standard deviation of the logits is near 1, so that a tolerance of 1e-4 is strict.
"""

import importlib.util
from gc import collect  # conftest.py replaces `gc.collect`

import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT
from tests.goldens.make_goldens import CASES, FOLDER, images_of, transformers_logits
from tests.goldens.weights import fill

HEADS = ("class", "distillation")


@pytest.fixture(autouse=True)
def _free_memory():
    yield
    collect()  # a Keras model has circular references, and one of these models takes 350 MB


def _golden(name):
    with np.load(FOLDER / f"transformers_{name}.npz") as stored:
        return {head: stored[head] for head in HEADS}


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", CASES)
def test_goldens_have_unit_variance_and_differ_between_the_heads(name):
    golden = _golden(name)
    for head in HEADS:
        assert golden[head].shape == (CASES[name].num_images, 1000)
        assert 0.5 < golden[head].std() < 2
    assert np.abs(golden["class"] - golden["distillation"]).max() > 1


@pytest.mark.parametrize("name", CASES)
def test_logits_equal_those_of_transformers(name):
    deit = fill(DeiT.from_variant(name))
    golden, logits = _golden(name), deit(images_of(name))
    for head in HEADS:
        np.testing.assert_allclose(ops.convert_to_numpy(logits[head]), golden[head], rtol=0, atol=1e-4)


@pytest.mark.backend_independent
@pytest.mark.skipif(
    not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")),
    reason="the reference is transformers' DeiT, which needs PyTorch, and one of the two is not installed",
)
@pytest.mark.parametrize("name", CASES)
def test_goldens_equal_the_logits_of_the_installed_transformers(name):
    golden, live = _golden(name), transformers_logits(name)
    for head in HEADS:
        np.testing.assert_allclose(live[head], golden[head], rtol=0, atol=5e-5)
