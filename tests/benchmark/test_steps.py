"""A step computes one batch and waits for the result, in every mode and precision."""

import keras
import numpy as np
import pytest

from keras_deit.benchmark.peers import our_step
from keras_deit.benchmark.steps import torch_step


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
