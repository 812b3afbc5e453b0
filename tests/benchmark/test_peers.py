"""The other implementations, where they are installed."""

import keras
import numpy as np
import pytest

from keras_deit.benchmark import peers
from tests.benchmark.conftest import skip_without_package

BACKEND = keras.backend.backend()


def build(peer, setting):
    """Builds a peer's step, or skips the test where its package cannot be imported."""
    if peer != "keras_hub" and BACKEND != "torch":
        pytest.skip(f"{peer} runs on PyTorch")
    with skip_without_package():
        return peers.PEERS[peer](setting)


@pytest.mark.parametrize("peer", list(peers.PEERS))
def test_peers_run_inference_where_they_are_installed(peer, make_setting):
    logits = np.asarray(build(peer, make_setting("inference"))())
    assert logits.shape == (2, 1000)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("peer", list(peers.PEERS))
def test_peers_train_where_they_are_installed(peer, make_setting):
    loss_and_metrics = build(peer, make_setting("training"))()
    assert np.isfinite(np.ravel(loss_and_metrics)).all()


def test_pytorch_peers_are_chosen_on_pytorch_only(monkeypatch):
    monkeypatch.setattr(peers, "has_gpu", lambda: False)
    expected = list(peers.PEERS) if BACKEND == "torch" else ["keras_hub"]
    assert list(peers.builders(peers.PEERS)) == expected


def test_torch_compile_is_timed_on_a_gpu(monkeypatch):
    monkeypatch.setattr(peers, "has_gpu", lambda: True)
    expected = ["timm", "keras_deit compiled", "timm compiled"] if BACKEND == "torch" else []
    assert list(peers.builders(["timm"])) == expected


def test_a_variant_with_one_token_is_refused_for_two_token_peers(make_setting):
    with pytest.raises(ValueError, match="no deit3_s"):
        peers.two_token_arguments(make_setting(variant="deit3_s", distilled=False))
