import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_deit.benchmark import models as benchmark
from keras_deit.benchmark.models import Setting, Timing, describe, main, measure, multiply_adds
from keras_deit.models import get_variant

BACKEND = keras.backend.backend()
TINY = dict(image_size=32, patch_size=16, hidden_dim=12, num_layers=1, num_heads=3, distilled=True)


@pytest.fixture(autouse=True)
def _one_step_a_round(monkeypatch):
    monkeypatch.setattr(benchmark, "ROUND_SECONDS", 0)


# One token: timm's figures in billions, which count a little more than the matrix products.
@pytest.mark.parametrize(("variant", "published"), [("deit_ti", 1.26), ("deit_s", 4.61), ("deit_b", 17.58)])
def test_multiply_adds_are_the_published_ones(variant, published):
    arguments = {**get_variant(variant).arguments, "distilled": False}
    assert multiply_adds(**arguments) / 1e9 == pytest.approx(published, rel=0.006)


def test_multiply_adds_of_a_model_counted_by_hand():
    # 4 patches and 2 tokens; embedding, projections with MLP, attention, heads
    expected = 4 * 768 * 12 + 6 * (4 * 144 + 8 * 144) + 2 * 36 * 12 + 2 * 12 * 1000
    assert multiply_adds(**TINY) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_every_mode_and_precision_is_timed(mode, precision):
    timings, left_out = measure(Setting("tiny", mode, 2, precision, TINY), rounds=2)
    assert [timing.name for timing in timings] == ["keras_deit"]
    assert len(timings[0].seconds) == 2
    assert min(timings[0].seconds) > 0
    assert timings[0].ratios == [1, 1]
    assert left_out == {}


def test_training_takes_three_times_the_operations_and_mixed_precision():
    inference = Setting("tiny", "inference", 2, "bfloat16", TINY)
    training = Setting("tiny", "training", 2, "bfloat16", TINY)
    assert inference.step_flops == 2 * 2 * multiply_adds(**TINY)
    assert training.step_flops == 3 * inference.step_flops
    assert (inference.policy, training.policy) == ("bfloat16", "mixed_bfloat16")
    assert Setting("tiny", "training", 2, "float32", TINY).policy == "float32"


def test_peers_take_turns_and_the_order_alternates(monkeypatch):
    turns = []
    monkeypatch.setattr(benchmark, "_ours", lambda setting: lambda: turns.append("ours"))
    monkeypatch.setitem(benchmark.PEERS, "keras_hub", lambda setting: lambda: turns.append("peer"))
    timings, _ = measure(Setting("tiny", "inference", 1, "float32", TINY), rounds=2, peers=["keras_hub"])
    assert turns[-4:] == ["ours", "peer", "peer", "ours"]
    ours, peer = timings
    np.testing.assert_allclose(peer.ratios, np.array(peer.seconds) / ours.seconds)


def test_a_peer_that_cannot_be_imported_is_named_with_the_reason(monkeypatch, capsys):
    def missing(setting):
        raise ImportError("No module named 'keras_hub'")

    monkeypatch.setattr(benchmark, "_ours", lambda setting: lambda: None)
    monkeypatch.setitem(benchmark.PEERS, "keras_hub", missing)
    main(["--mode", "inference", "--rounds", "1", "--peers", "keras_hub"])
    assert "left out: ImportError: No module named 'keras_hub'" in capsys.readouterr().out


@pytest.mark.parametrize("peer", ["keras_hub", "transformers", "timm"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_real_peers_run_where_they_are_installed(peer, mode):
    if peer != "keras_hub" and BACKEND != "torch":
        pytest.skip(f"{peer} runs on PyTorch")
    timings, left_out = measure(Setting("tiny", mode, 2, "float32", TINY), rounds=1, peers=[peer])
    reason = left_out.get(peer, "")
    if (
        reason.startswith(("ImportError", "ModuleNotFoundError")) or "torchvision" in reason
    ):  # whose CUDA wheel may break
        pytest.skip(reason)
    assert [timing.name for timing in timings] == ["keras_deit", peer]


def test_peers_without_such_a_variant_say_so():
    setting = Setting("deit3_s", "inference", 1, "float32", {**TINY, "distilled": False})
    with pytest.raises(ValueError, match="no deit3_s"):
        benchmark._two_token_arguments(setting)


def test_the_table_holds_speed_ratio_and_share_of_the_peak(monkeypatch):
    monkeypatch.setattr(benchmark, "_device", lambda: "NVIDIA H200")
    setting = Setting("deit_b", "inference", 256, "bfloat16", get_variant("deit_b").arguments)
    ratios = [1.0, 1.1, 1.2, 1.3, 1.4]
    timings = [Timing("keras_deit", [0.02] * 5, [1.0] * 5), Timing("timm", [0.024] * 5, ratios)]
    title, _, ours, peer = describe(setting, timings, {}).splitlines()
    assert title.startswith("deit_b at 224 pixels, batch 256, bfloat16, inference;")
    assert title.endswith("on NVIDIA H200, 5 rounds")
    gigaflops = 256 * 2 * multiply_adds(**setting.architecture) / 0.02 / 1e9
    assert ours.split()[:4] == ["keras_deit", "20.00", "12800.0", f"{gigaflops:.1f}"]
    assert f"{gigaflops / 989_500:.1%} of the peak" in ours
    assert "1.200 (1.100 to 1.300)" in peer


def test_the_command_prints_and_writes_every_figure(tmp_path, capsys):
    options = [
        "--variant",
        "deit_ti",
        "--image-size",
        "16",
        "--batch-size",
        "1",
        "--rounds",
        "1",
        "--mode",
        "inference",
    ]
    path = tmp_path / "results.json"
    assert main([*options, "--peers", "--backend", BACKEND, "--json", str(path)]) == 0
    assert "deit_ti at 16 pixels, batch 1, float32, inference" in capsys.readouterr().out
    (result,) = json.loads(path.read_text())
    assert (result["backend"], result["mode"], result["batch_size"]) == (BACKEND, "inference", 1)
    assert len(result["timings"][0]["seconds"]) == 1


def test_other_backends_run_in_processes_of_their_own(tmp_path, monkeypatch):
    calls = []

    def pretend(command, env):
        calls.append((env["KERAS_BACKEND"], command))
        report = command[command.index("--json") + 1]
        with open(report, "w") as file:
            json.dump([{"backend": env["KERAS_BACKEND"]}], file)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: name != "jax" or None)
    monkeypatch.setattr(benchmark.subprocess, "run", pretend)
    path = tmp_path / "results.json"
    assert main(["--backend", "all", "--variant", "deit_b", "--json", str(path)]) == 1  # one is not installed
    assert [backend for backend, _ in calls] == ["tensorflow", "torch"]
    assert [result["backend"] for result in json.loads(path.read_text())] == ["tensorflow", "torch"]
    command = calls[0][1]
    assert command[:3] == [sys.executable, "-m", "keras_deit.benchmark.models"]
    assert command[command.index("--variant") + 1] == "deit_b"


@pytest.mark.parametrize("option", ["--rounds", "--batch-size"])
def test_numbers_out_of_range_are_refused(option, capsys):
    assert main([option, "0"]) == 2
    assert "must be positive" in capsys.readouterr().err


def test_an_unknown_variant_is_refused_with_the_nearest_names(capsys):
    assert main(["--variant", "deit_smal"]) == 2
    assert "deit_s" in capsys.readouterr().err
