"""The other implementations, where they are installed."""

import keras
import numpy as np
import pytest

from keras_deit.benchmark import peers
from tests.benchmark.conftest import skip_without_package

BACKEND = keras.backend.backend()


def build(peer, setting):
    """Builds a peer's step, or skips the test where its package cannot be imported."""
    if peer in peers.ON_TORCH_ONLY and BACKEND != "torch":
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


def test_pytorch_peers_are_chosen_on_pytorch_only(make_setting):
    chosen = peers.implementations(make_setting(), peers.PEERS)
    on_torch = ["transformers", "timm", "timm compiled"] if BACKEND == "torch" else []
    assert list(chosen) == ["keras_deit", "keras_hub", "zeromodels", *on_torch]
    assert {implementation.package for implementation in chosen.values()} >= {"keras_deit", "keras_hub", "zeromodels"}


def test_keras_models_are_compiled_on_request_where_this_makes_a_difference(make_setting, monkeypatch):
    calls = []
    monkeypatch.setattr(peers, "our_step", lambda setting, compiled=False: calls.append(compiled))
    setting = make_setting("training")
    chosen = peers.implementations(setting, ["keras_hub"], compiled=True)
    names = ["keras_deit", "keras_hub"]
    if BACKEND != "jax":
        names = ["keras_deit", "keras_deit compiled", "keras_hub", "keras_hub compiled"]
        chosen["keras_deit compiled"].build(setting)
    chosen["keras_deit"].build(setting)
    assert list(chosen) == names
    assert calls == ([False] if BACKEND == "jax" else [True, False])
    assert {implementation.flops for implementation in chosen.values()} == {setting.model_flops}


def test_distillation_has_its_two_parts_and_no_peers(make_setting):
    setting = make_setting("distillation")
    step, student, teacher = peers.implementations(setting, ["timm"]).values()
    assert step.flops == student.flops + teacher.flops == setting.model_flops + setting.teacher_flops
    assert {step.package, student.package, teacher.package} == {"keras_deit"}


def test_the_dtype_policy_is_the_former_one_after_zeromodels(make_setting):
    policy = keras.config.dtype_policy()
    build("zeromodels", make_setting("training", "bfloat16"))
    assert keras.config.dtype_policy() == policy


def test_a_variant_with_one_token_is_refused_for_two_token_peers(make_setting):
    with pytest.raises(ValueError, match="no deit3_s"):
        peers.two_token_arguments(make_setting(variant="deit3_s", distilled=False))
