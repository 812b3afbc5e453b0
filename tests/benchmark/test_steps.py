"""A step computes one batch and waits for the result, in every mode and precision."""

import keras
import numpy as np
import pytest

from keras_deit.benchmark.peers import our_step
from keras_deit.benchmark.steps import array_sum_step, forget_compiled_functions, matrix_product_step, torch_step
from keras_deit.layers import operations


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_inference_returns_the_logits(precision, make_setting):
    logits = our_step(make_setting("inference", precision))()
    assert logits.shape == (2, 1000)
    assert np.isfinite(logits.astype("float32")).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_lowers_the_loss(precision, make_setting):
    step = our_step(make_setting("training", precision))
    losses = [float(step()) for _ in range(3)]
    assert losses[2] < losses[0]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_step_is_repeated(mode, make_setting):
    step = our_step(make_setting(mode, "float32"))
    once, thrice = np.asarray(step()), np.asarray(step(3))
    assert once.shape == thrice.shape
    assert mode == "inference" or thrice < once


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="`torch.compile` takes a minute; JAX always compiles"
)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_compiled_step_computes_the_same(mode, make_setting):
    results = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        results.append(our_step(make_setting(mode), compiled)())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the cache of `torch.compile`")
def test_every_size_is_compiled_if_the_cache_is_emptied_before():
    import torch

    sizes = []

    def compile_graph(graph, inputs):
        sizes.append(len(inputs[0]))
        return graph.forward

    @torch.compile(backend=compile_graph, dynamic=False)
    def double(numbers):
        return numbers * 2

    for size in range(2, 14):
        forget_compiled_functions()
        double(torch.ones(size))
    assert sizes == list(range(2, 14))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_matrix_product_is_computed(precision):
    left, right = np.random.default_rng(0).standard_normal((2, 16, 16), dtype="float32")
    expected = (left.astype("float64") @ right.astype("float64"))[0, 0]
    assert matrix_product_step(precision, 16)(2) == pytest.approx(expected, abs=1e-5 if precision == "float32" else 0.1)


@pytest.mark.backend_independent
def test_the_matrix_product_is_that_of_the_dense_layers(monkeypatch):
    monkeypatch.setattr(operations, "product", lambda left, right: keras.ops.full((1, 1), 7))
    assert matrix_product_step("bfloat16", 16)() == 7


def test_the_sum_of_an_array_is_computed():
    assert array_sum_step(num_bytes=4000)(2) == 1000


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="a module of PyTorch's")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_torch_module_gets_channels_first_images(precision, make_setting):
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3, 1000)

        def forward(self, images):
            assert images.shape == (2, 3, 32, 32)
            return self.head(images.mean((2, 3)))

    logits = torch_step(Classifier(), make_setting("inference", precision))()
    assert (tuple(logits.shape), logits.dtype) == ((2, 1000), torch.float32)
    step = torch_step(Classifier(), make_setting("training", precision))
    losses = [step() for _ in range(3)]
    assert losses[2] < losses[0]
