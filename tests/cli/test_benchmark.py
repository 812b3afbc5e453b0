"""`keras-deit benchmark`: options, tables and the file of results."""

import json

import keras
import pytest

import keras_deit.cli.benchmark
from keras_deit.benchmark import data, exports, models

BACKEND = keras.backend.backend()


@pytest.fixture
def measured(monkeypatch):
    """Replaces all measurements and returns the list of their arguments."""
    calls = []

    def run(settings, rounds, peers):
        calls.append((settings, rounds, peers))
        return [{"backend": BACKEND}]

    def run_in_child_process(backend, settings, rounds, peers):
        if backend == "jax":
            raise ImportError("jax is not installed.")
        calls.append((backend, settings, rounds, peers))
        return [{"backend": backend}]

    def run_data(setting, rounds):
        calls.append((setting, rounds))
        return {"tf.data": [100.0] * rounds}, {"timm": "timm is not installed"}

    monkeypatch.setattr(models, "run", run)
    monkeypatch.setattr(models, "run_in_child_process", run_in_child_process)

    def run_exports(setting, rounds, num_threads):
        calls.append((setting, rounds, num_threads))
        return {"LiteRT int8": [0.01] * rounds, "timm": [0.02] * rounds}, {"timm compiled": "no compiler"}

    monkeypatch.setattr(data, "run", run_data)
    monkeypatch.setattr(exports, "run", run_exports)
    return calls


def test_the_command_prints_and_writes_all_measured_values(tmp_path, capsys):
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
    assert keras_deit.cli.main(["benchmark", *options, "--peers", "--backend", BACKEND, "--output", str(path)]) == 0
    assert "deit_ti at 16 pixels, batch 1, float32, inference" in capsys.readouterr().out
    (result,) = json.loads(path.read_text())
    assert (result["backend"], result["mode"], result["batch_size"]) == (BACKEND, "inference", 1)
    assert len(result["timings"][0]["seconds"]) == 1


def test_both_modes_are_timed_at_the_variants_size(measured):
    assert keras_deit.cli.main(["benchmark", "--variant", "deit_b_384", "--rounds", "3", "--peers", "timm"]) == 0
    ((settings, rounds, peers),) = measured
    assert [setting.mode for setting in settings] == ["inference", "training"]
    assert settings[0].architecture["image_size"] == 384
    assert (rounds, peers) == (3, ["timm"])


def test_other_backends_run_in_processes_of_their_own(measured, tmp_path, capsys):
    path = tmp_path / "results.json"
    options = ["--backend", "all", "--variant", "deit_b", "--output", str(path)]
    assert keras_deit.cli.main(["benchmark", *options]) == 1  # one is not installed
    assert [backend for backend, *_ in measured] == ["tensorflow", "torch"]
    assert [result["backend"] for result in json.loads(path.read_text())] == ["tensorflow", "torch"]
    assert "jax is not installed" in capsys.readouterr().err
    assert measured[0][1][0].variant == "deit_b"


@pytest.mark.parametrize("option", ["--rounds", "--batch-size", "--image-size"])
@pytest.mark.parametrize("command", [[], ["data"], ["export"]])
def test_numbers_out_of_range_are_refused(command, option, measured, capsys):
    assert keras_deit.cli.main(["benchmark", *command, option, "0"]) == 2
    assert f"{option} must be an integer of at least 1. Received: {option} 0" in capsys.readouterr().err
    assert not measured


def test_an_unknown_variant_is_refused_with_the_nearest_names(capsys):
    assert keras_deit.cli.main(["benchmark", "--variant", "deit_smal"]) == 2
    assert "deit_s" in capsys.readouterr().err


def test_pipelines_are_printed_and_written(measured, tmp_path, capsys):
    path = tmp_path / "results.json"
    options = ["--image-size", "32", "--batch-size", "8", "--batches", "2", "--rounds", "1", "--num-workers", "2"]
    assert keras_deit.cli.main(["benchmark", "data", *options, "--no-operations", "--output", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "timm: left out, timm is not installed" in printed
    assert json.loads(path.read_text()) == {"tf.data": [100.0]}
    ((setting, rounds),) = measured
    assert (setting.image_size, setting.batch_size, setting.num_batches, setting.num_workers) == (32, 8, 2, 2)
    assert rounds == 1


def test_the_table_of_operations_follows(measured, monkeypatch, capsys):
    monkeypatch.setattr(keras_deit.cli.benchmark, "operation_milliseconds", lambda image_size: [("Rotate", 0.4, 1.0)])
    assert keras_deit.cli.main(["benchmark", "data"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["Rotate", "0.40", "1.00"]


def test_exports_are_printed_and_written(measured, tmp_path, capsys):
    path = tmp_path / "results.json"
    options = ["--image-size", "32", "--rounds", "2", "--threads", "3", "--output", str(path)]
    assert keras_deit.cli.main(["benchmark", "export", *options]) == 0
    printed = capsys.readouterr().out
    assert "deit_ti at 32 pixels, batch 1, 3 threads" in printed
    assert "timm compiled         left out: no compiler" in printed
    assert json.loads(path.read_text())["seconds"] == {"LiteRT int8": [0.01, 0.01], "timm": [0.02, 0.02]}
    ((setting, rounds, num_threads),) = measured
    assert (setting.architecture["image_size"], setting.batch_size, rounds, num_threads) == (32, 1, 2, 3)
