"""Models are timed in turns on the active backend, and on another one in a child process."""

import json
import subprocess
import sys

import keras
import pytest

from keras_deit.benchmark import __main__, models, peers, roofline

BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def _small_matrices(monkeypatch):
    monkeypatch.setattr(roofline, "MATRIX_SIZE", {"cpu": 8, "gpu": 8})


@pytest.fixture
def instant_step(monkeypatch):
    """Replaces this package's model with a step that does nothing."""
    monkeypatch.setattr(peers, "our_step", lambda setting: lambda times=1: None)


def test_every_round_is_recorded(instant_step, make_setting):
    setting = make_setting()
    measurement = models.measure(setting, models.Comparison(rounds=2), {"keras_deit": 5})
    assert (measurement.setting, measurement.backend) == (setting, BACKEND)
    (timing,) = measurement.timings
    assert (timing.name, timing.flops, timing.memory) == ("keras_deit", setting.model_flops, 5)
    assert (len(timing.seconds), len(measurement.matrix_product.seconds)) == (2, 2)
    assert min(timing.seconds + measurement.matrix_product.seconds) > 0
    assert measurement.matrix_product.flops == 2 * 8**3
    assert measurement.left_out == {}


def test_peers_take_turns_and_the_order_alternates(monkeypatch, make_setting):
    turns = []
    monkeypatch.setattr(peers, "our_step", lambda setting: lambda times=1: turns.append("ours"))
    monkeypatch.setitem(peers.PEERS, "keras_hub", lambda setting: lambda times=1: turns.append("peer"))
    measurement = models.measure(make_setting(), models.Comparison(rounds=2, peers=("keras_hub",)))
    assert turns[-4:] == ["ours", "peer", "peer", "ours"]
    assert [(timing.name, timing.is_peer) for timing in measurement.timings] == [
        ("keras_deit", False),
        ("keras_hub", True),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImportError("No module named 'keras_hub'"), "ImportError: No module named 'keras_hub'"),
        (
            ModuleNotFoundError("No module named 'keras_hub'"),
            "ModuleNotFoundError: No module named 'keras_hub' (pip install 'keras-deit[benchmark]')",
        ),
        (
            ModuleNotFoundError("No module named 'timm'", name="timm"),
            "ModuleNotFoundError: No module named 'timm' (pip install timm)",
        ),
        (
            ModuleNotFoundError("No module named 'torchvision'", name="torchvision"),
            "ModuleNotFoundError: No module named 'torchvision' (pip install timm)",
        ),
        (TypeError("in two\n  lines"), "TypeError: in two lines"),
    ],
)
def test_a_peer_that_cannot_run_is_named_with_the_reason(error, reason, instant_step, make_setting, monkeypatch):
    def fail(setting):
        raise error

    monkeypatch.setitem(peers.PEERS, "keras_hub", fail)
    measurement = models.measure(make_setting(), models.Comparison(rounds=1, peers=("keras_hub",)))
    assert measurement.left_out == {"keras_hub": reason}


@pytest.mark.skipif(BACKEND == "jax", reason="JAX compiles every step")
def test_a_failure_of_the_package_is_an_error_unless_a_compiler_fails(make_setting, monkeypatch):
    def fail(setting, compiled=False):
        if compiled:
            raise RuntimeError("no compiler")
        return lambda times=1: None

    monkeypatch.setattr(peers, "our_step", fail)
    measurement = models.measure(make_setting(), models.Comparison(rounds=1, compiled=True))
    assert measurement.left_out == {"keras_deit compiled": "RuntimeError: no compiler"}
    monkeypatch.setattr(peers, "our_step", lambda setting: fail(setting, compiled=True))
    with pytest.raises(RuntimeError, match="no compiler"):
        models.measure(make_setting(), models.Comparison(rounds=1))


def test_a_run_prints_a_table_for_each_setting(instant_step, make_setting, capsys):
    settings = [make_setting("inference"), make_setting("training")]
    results = models.run(settings, models.Comparison(rounds=1))
    assert [(result.setting.mode, result.backend) for result in results] == [
        ("inference", BACKEND),
        ("training", BACKEND),
    ]
    printed = capsys.readouterr().out
    assert "tiny at 32 pixels, batch 2, float32, inference" in printed
    assert "tiny at 32 pixels, batch 2, float32, training" in printed


def test_the_memory_of_each_implementation_is_measured_before_the_device_is_used(
    instant_step, make_setting, monkeypatch
):
    calls = []
    monkeypatch.setattr(roofline, "has_gpu", lambda: calls.append("device"))
    monkeypatch.setattr(models, "peak_in_child_process", lambda name, setting: calls.append(name) or 7)
    (result,) = models.run([make_setting()], models.Comparison(rounds=1, memory=True))
    assert calls == ["keras_deit", "device"]
    assert result.timings[0].memory == 7


@pytest.mark.parametrize(
    ("compiled", "calls_of_a_setting"), [(False, ["built"]), (True, ["forgotten", "built", "built"])]
)
def test_the_compiled_functions_of_a_setting_are_forgotten_before_the_next_one(
    compiled, calls_of_a_setting, instant_step, make_setting, monkeypatch
):
    calls = []
    monkeypatch.setattr(models, "forget_compiled_functions", lambda: calls.append("forgotten"))
    monkeypatch.setattr(peers, "_is_compiled_too", lambda *given: compiled)
    monkeypatch.setattr(peers, "our_step", lambda *given, **options: calls.append("built") or (lambda times=1: None))
    models.run([make_setting(), make_setting("training")], models.Comparison(rounds=1))
    assert calls == 2 * calls_of_a_setting


def test_a_memory_that_cannot_be_measured_is_named_with_the_reason(instant_step, make_setting, monkeypatch, capsys):
    def fail(name, setting):
        raise RuntimeError("MemoryError: too large")

    monkeypatch.setattr(models, "peak_in_child_process", fail)
    (result,) = models.run([make_setting()], models.Comparison(rounds=1, memory=True))
    assert result.timings[0].memory is None
    assert "The memory of keras_deit is unknown: MemoryError: too large" in capsys.readouterr().err


def test_another_backend_runs_in_a_child_process(instant_step, make_setting, monkeypatch):
    commands, environments = [], []

    def run_here(command, env):
        commands.append(command)
        environments.append(env)
        __main__.main(*command[3:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(models.subprocess, "run", run_here)
    setting = make_setting("training")
    (result,) = models.run_in_child_process("jax", [setting], models.Comparison(3, ("keras_hub",)))
    assert commands[0][:3] == [sys.executable, "-m", "keras_deit.benchmark"]
    assert environments[0]["KERAS_BACKEND"] == "jax"
    assert result.setting == setting
    assert len(result.timings[0].seconds) == 3
    assert json.loads(commands[0][4])["comparison"]["peers"] == ["keras_hub"]


def test_a_missing_backend_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"jax is not installed.*keras-deit\[jax\]"):
        models.run_in_child_process("jax", [], models.Comparison(1))


def test_a_failing_child_process_is_an_error(monkeypatch):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(models.subprocess, "run", lambda command, env: subprocess.CompletedProcess(command, 3))
    with pytest.raises(RuntimeError, match="with jax failed with exit status 3"):
        models.run_in_child_process("jax", [], models.Comparison(1))
