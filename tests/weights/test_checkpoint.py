"""The architecture inferred from a checkpoint."""

import numpy as np
import pytest

from keras_deit.weights.checkpoint import open_checkpoint
from tests.weights.checkpoints import path

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")

DEIT3 = dict(distilled=False, prefix_positions=False, layer_scale_init=1e-4, drop_path_schedule="constant")
DEIT = dict(image_size=(32, 32), patch_size=8, hidden_dim=16, num_layers=2, intermediate_dim=64, num_classes=5)


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("timm_two_tokens", "deit", dict(distilled=True, prefix_positions=True, layer_scale_init=None)),
        ("transformers_one_token", "deit", dict(distilled=False, prefix_positions=True, layer_scale_init=None)),
        ("official_deit3", "deit", DEIT3),
        ("timm_regnety", "regnety", dict(widths=(16, 24, 32, 40), depths=(1, 1, 2, 1), group_width=8, num_classes=5)),
    ],
)
def test_the_architecture_is_inferred_from_shapes(name, family, expected):
    checkpoint = open_checkpoint(path(name))
    assert checkpoint.family == family
    assert checkpoint.architecture() == ({**DEIT, **expected} if family == "deit" else expected)


def test_a_checkpoint_without_a_head_has_no_number_of_classes():
    tensors = {name: value for name, value in open_checkpoint(path("timm_deit3")).tensors.items() if "head" not in name}
    assert "num_classes" not in open_checkpoint(tensors).architecture()


def test_a_checkpoint_of_another_family_is_refused():
    with pytest.raises(ValueError, match=r"Expected the tensor 'patch_embed.proj.weight' or .*Received: conv1"):
        open_checkpoint({"conv1.weight": np.zeros(3)}).architecture()


def test_a_missing_tensor_is_named():
    tensors = dict(open_checkpoint(path("timm_deit3")).tensors)
    del tensors["pos_embed"]
    with pytest.raises(ValueError, match="The tensor 'pos_embed' is missing in the checkpoint"):
        open_checkpoint(tensors).architecture()


def test_an_open_checkpoint_is_returned_unchanged():
    checkpoint = open_checkpoint(path("timm_deit3"))
    assert open_checkpoint(checkpoint) is checkpoint
