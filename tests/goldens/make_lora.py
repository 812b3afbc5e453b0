"""Makes a small model with LoRA, saved on PyTorch; `tests/test_lora.py` loads the file on every backend.

KERAS_BACKEND=torch python -m tests.goldens.make_lora
"""

import pathlib

import keras_deit as kd
from tests.goldens.weights import fill

FILE = pathlib.Path(__file__).parent / "lora.keras"
SHAPE = dict(num_classes=3, image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, intermediate_dim=32)


def model_with_lora(rank=2, alpha=12, **options):
    """A model whose weights, LoRA included, are drawn from their names."""
    model = kd.DeiT(**SHAPE)
    kd.lora.enable(model, rank=rank, alpha=alpha, **options)
    return fill(model)


if __name__ == "__main__":
    model_with_lora().save(FILE)
