"""`keras-deit benchmark`: options, tables and the file of results."""

import json

import keras
import pytest

import keras_deit.cli.benchmark
from keras_deit.benchmark import data, exports, models, roofline, startup
from keras_deit.benchmark.measurement import Measurement, Timing
from keras_deit.benchmark.models import Comparison

BACKEND = keras.backend.backend()


@pytest.fixture
def measured(monkeypatch):
    """Replaces all measurements and returns the list of their arguments."""
    calls = []

    def measurement(backend, setting):
        timings = [Timing("keras_deit", [0.5], 1e9), Timing("timm", [0.25], 1e9, is_peer=True)]
        return Measurement(setting, backend, "cpu", timings, Timing("matrix product", [1.0], 1e9), {})

    def run(settings, comparison):
        calls.append((settings, comparison))
        return [measurement(BACKEND, setting) for setting in settings]

    def run_in_child_process(backend, settings, comparison):
        if backend == "jax":
            raise ImportError("jax is not installed.")
        calls.append((backend, settings, comparison))
        return [measurement(backend, setting) for setting in settings]

    def run_data(setting, rounds):
        calls.append((setting, rounds))
        return {"tf.data": [100.0] * rounds}, {"timm": "timm is not installed"}

    monkeypatch.setattr(models, "run", run)
    monkeypatch.setattr(models, "run_in_child_process", run_in_child_process)

    def run_exports(setting, rounds, num_threads):
        calls.append((setting, rounds, num_threads))
        return {"LiteRT int8": [0.01] * rounds, "timm": [0.02] * rounds}, {"timm compiled": "no compiler"}

    def run_startup(setting, rounds):
        calls.append((setting, rounds))
        if setting.variant == "deit_b":
            raise RuntimeError("Starting failed: no memory")
        return {"import keras": [2.0] * rounds}

    monkeypatch.setattr(startup, "run", run_startup)
    monkeypatch.setattr(data, "run", run_data)
    monkeypatch.setattr(exports, "run", run_exports)
    return calls


def test_the_command_prints_and_writes_all_measured_values(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(roofline, "MATRIX_SIZE", {"cpu": 8, "gpu": 8})
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
    setting = result["setting"]
    assert (result["backend"], setting["mode"], setting["batch_size"]) == (BACKEND, "inference", 1)
    assert len(result["timings"][0]["seconds"]) == len(result["matrix_product"]["seconds"]) == 1


def test_all_modes_are_timed_at_the_variants_size(measured):
    assert keras_deit.cli.main(["benchmark", "--variant", "deit_b_384", "--rounds", "3", "--peers", "timm"]) == 0
    ((settings, comparison),) = measured
    assert [setting.mode for setting in settings] == ["inference", "training", "distillation"]
    assert settings[0].architecture["image_size"] == 384
    assert comparison == Comparison(rounds=3, peers=("timm",), compiled=False, memory=False)


def test_modes_teacher_and_what_else_is_measured_are_options(measured):
    options = ["--mode", "distillation", "inference", "--teacher", "regnety_160", "--compile", "--memory"]
    assert keras_deit.cli.main(["benchmark", *options]) == 0
    ((settings, comparison),) = measured
    assert [(setting.mode, setting.teacher) for setting in settings] == [
        ("distillation", "regnety_160"),
        ("inference", "regnety_160"),
    ]
    assert (comparison.compiled, comparison.memory) == (True, True)


def test_other_backends_run_in_processes_of_their_own(measured, tmp_path, capsys):
    path = tmp_path / "results.json"
    options = ["--backend", "all", "--variant", "deit_b", "--mode", "training", "--output", str(path)]
    assert keras_deit.cli.main(["benchmark", *options]) == 1  # one is not installed
    assert [backend for backend, *_ in measured] == ["tensorflow", "torch"]
    assert [result["backend"] for result in json.loads(path.read_text())] == ["tensorflow", "torch"]
    output = capsys.readouterr()
    assert "jax is not installed" in output.err
    assert "all backends beside the best peer, timm (tensorflow, 250.00 ms)" in output.out
    assert measured[0][1][0].variant == "deit_b"


def test_a_sweep_times_this_package_over_the_values(measured, tmp_path, capsys):
    path = tmp_path / "sweep.png"
    options = ["--variant", "deit_ti", "--mode", "training", "--sweep", "image_size", "160", "224", "--plot", str(path)]
    assert keras_deit.cli.main(["benchmark", *options]) == 0
    ((settings, comparison),) = measured
    assert [setting.architecture["image_size"] for setting in settings] == [160, 224]
    assert comparison.peers == ()
    assert "training: keras_deit" in capsys.readouterr().out
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("dimension", "values", "attribute"),
    [("variant", ["deit_ti", "deit3_l"], ["deit_ti", "deit3_l"]), ("batch_size", ["2", "4"], [2, 4])],
)
def test_variants_and_batch_sizes_are_swept_too(dimension, values, attribute, measured):
    assert keras_deit.cli.main(["benchmark", "--mode", "inference", "--sweep", dimension, *values]) == 0
    ((settings, _),) = measured
    assert [getattr(setting, dimension) for setting in settings] == attribute


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["width", "1", "2"], "--sweep must be one of image_size, variant, batch_size, and at least two values"),
        (["image_size", "224"], "at least two values. Received: --sweep image_size 224"),
        (["image_size", "224", "x"], "must be positive integers. Received: 224 x"),
        (["batch_size", "0", "8"], "must be positive integers. Received: 0 8"),
        (["variant", "deit_ti", "deit_smal"], "deit_s"),
    ],
)
def test_a_wrong_sweep_is_refused(words, message, measured, capsys):
    assert keras_deit.cli.main(["benchmark", "--sweep", *words]) == 2
    assert message in capsys.readouterr().err
    assert not measured


def test_a_comparison_is_drawn(measured, tmp_path):
    path = tmp_path / "bars.png"
    assert keras_deit.cli.main(["benchmark", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--rounds", "--batch-size", "--image-size"])
@pytest.mark.parametrize("command", [[], ["data"], ["export"], ["startup"], ["roofline"]])
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


def test_starting_is_printed_and_written(measured, tmp_path, capsys):
    path = tmp_path / "results.json"
    options = ["--image-size", "32", "--batch-size", "2", "--rounds", "3", "--output", str(path)]
    assert keras_deit.cli.main(["benchmark", "startup", *options]) == 0
    assert "import keras                          2.00 (2.00 to 2.00)" in capsys.readouterr().out
    assert json.loads(path.read_text()) == {"import keras": [2.0, 2.0, 2.0]}
    ((setting, rounds),) = measured
    assert (setting.mode, setting.architecture["image_size"], setting.batch_size, rounds) == ("training", 32, 2, 3)


def test_a_start_that_fails_is_an_error(measured, capsys):
    assert keras_deit.cli.main(["benchmark", "startup", "--variant", "deit_b"]) == 1
    assert "keras-deit benchmark startup: error: Starting failed: no memory" in capsys.readouterr().err


def test_the_roofline_is_printed_for_the_step(monkeypatch, capsys):
    monkeypatch.setattr(keras_deit.cli.benchmark, "measure_limits", lambda precision, rounds: ([1e11] * rounds, [1e10]))
    options = ["--variant", "deit_ti", "--precision", "bfloat16", "--mode", "inference", "--rounds", "2"]
    assert keras_deit.cli.main(["benchmark", "roofline", *options]) == 0
    title, product, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("deit_ti at 224 pixels, batch 8, bfloat16, inference on")
    assert product == "matrix product: 100.0 (100.0 to 100.0) GFLOP/s"
    assert any(row.startswith("MLP") for row in rows)
