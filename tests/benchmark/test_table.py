"""The tables' rows and units."""

import pytest

from keras_deit.benchmark.costs import Part
from keras_deit.benchmark.distillation import STEP, STUDENT, TEACHER
from keras_deit.benchmark.measurement import Measurement, Timing
from keras_deit.benchmark.setting import PipelineSetting, Setting
from keras_deit.benchmark.table import (
    export_table,
    model_table,
    operation_table,
    pipeline_table,
    roofline_table,
    startup_table,
    summary_table,
    sweep_table,
)
from keras_deit.models import get_variant

PEAK = 4e11  # FLOP/s of the matrix product in these tests


def measure(setting, timings, backend="torch", left_out=None):
    """A measurement in which a matrix product of one second had `PEAK` operations."""
    rounds = len(timings[0].seconds)
    matrix_product = Timing("matrix product", [1.0] * rounds, PEAK)
    return Measurement(setting, backend, "cpu (2 cores)", timings, matrix_product, left_out or {})


def test_the_model_table_holds_times_speeds_and_ratios_within_a_round(make_setting):
    setting = make_setting("training")
    seconds = [1.0, 2.0, 4.0, 4.0, 8.0]
    timings = [
        Timing("keras_deit", seconds, 2e11, memory=3 * 2**29),
        Timing("keras_hub", [9.0] * 5, 2e11, is_peer=True),
        Timing("timm", [2.0, 3.0, 4.0, 2.0, 2.0], 2e11, is_peer=True),
    ]
    table = model_table(measure(setting, timings, left_out={"zeromodels": "not installed"}))
    title, header, ours, hub, timm, left_out, peak, best = table.splitlines()
    assert title == (
        "tiny at 32 pixels, batch 2, float32, training; torch on cpu (2 cores), 5 rounds: medians (quartiles)"
    )
    assert header.split()[-7:] == ["best", "peer", "/", "row", "row", "/", "keras_deit"]
    milliseconds = ["4000.00", "(2000.00", "to", "4000.00)"]
    # 2 images in 4 s, 2e11 operations in 4 s, an eighth of the peak
    rates = ["0.5", "50.0", "12.5%", "1.50", "GiB"]
    assert ours.split() == ["keras_deit", *milliseconds, *rates, "1.000", "(0.500", "to", "1.500)"]
    # its time divided by keras_deit's: 2, 1.5, 1, 0.5 and 0.25
    assert timm.endswith("1.000 (1.000 to 1.000)   1.000 (0.500 to 1.500)")
    assert hub.endswith("0.222 (0.222 to 0.333)   2.250 (2.250 to 4.500)")
    assert left_out.split(maxsplit=1) == ["zeromodels", "left out: not installed"]
    assert peak.endswith("(400.0)")
    assert best == "best peer: timm"


def test_a_model_table_without_peers_has_no_ratios(make_setting):
    table = model_table(measure(make_setting(), [Timing("keras_deit", [1.0, 1.0], 2e11)]))
    _, header, ours, _ = table.splitlines()
    assert header.split() == ["ms", "images/s", "GFLOP/s", "MFU", "memory"]
    assert ours.split() == ["keras_deit", "1000.00", "(1000.00", "to", "1000.00)", "2.0", "200.0", "50.0%"]


@pytest.mark.parametrize("suffix", ["", " compiled"])
def test_a_distillation_step_is_compared_with_its_two_parts(suffix, make_setting):
    seconds = {STEP: [4.0, 3.0, 6.0], STUDENT: [2.0, 2.0, 2.0], TEACHER: [1.0, 1.0, 2.0]}
    timings = [Timing(name + suffix, times, 1e11) for name, times in seconds.items()]
    title, *_, last = model_table(measure(make_setting("distillation"), timings)).splitlines()
    assert "distillation from regnety_002;" in title
    assert last.startswith(f"{STEP}{suffix} / ({STUDENT}{suffix} + {TEACHER}{suffix})")
    assert last.endswith("1.333 (1.167 to 1.417)")  # 4 / 3, 1 and 1.5


def test_the_summary_compares_each_backend_with_the_best_peer_of_all(make_setting):
    setting = make_setting()

    def on(backend, ours, peers):
        timings = [Timing("keras_deit", [ours], 1e9)]
        timings += [Timing(name, [seconds], 1e9, is_peer=True) for name, seconds in peers.items()]
        return measure(setting, timings, backend)

    distillation = measure(make_setting("distillation"), [Timing(STEP, [1.0], 1e9)])
    table = summary_table([on("jax", 0.5, {"keras_hub": 2.0}), on("torch", 2.0, {"timm": 1.0}), distillation])
    title, _, on_jax, on_torch, note = table.splitlines()
    assert title.endswith("beside the best peer, timm (torch, 1000.00 ms)")
    assert on_jax.split() == ["keras_deit", "(jax)", "500.00", "2.000"]
    assert on_torch.split() == ["keras_deit", "(torch)", "2000.00", "0.500"]
    assert "a process of its own" in note
    assert summary_table([distillation]) == ""


def test_the_sweep_table_holds_the_time_per_operation(make_setting):
    settings = [make_setting(batch_size=size) for size in (1, 2)]
    measurements = [
        measure(setting, [Timing("keras_deit", [seconds], 1e9 * setting.batch_size)])
        for setting, seconds in zip(settings, (1.0, 3.0), strict=True)
    ]
    name, header, first, second, *_ = sweep_table(measurements, "batch_size").splitlines()
    assert name == "inference: keras_deit (torch)"
    assert header.split() == ["batch_size", "GFLOP", "ms", "ms/GFLOP", "relative"]
    assert first.split() == ["1", "1.0", "1000.00", "1000.00", "1.00"]
    assert second.split() == ["2", "2.0", "3000.00", "1500.00", "1.50"]


@pytest.mark.parametrize("other", ["timm", "grain"])
def test_the_pipeline_tables_ratios_are_those_of_the_same_round(other):
    setting = PipelineSetting(image_size=224, batch_size=64, num_batches=30, num_workers=2)
    results = {"decoding only": [200.0] * 3, "tf.data": [100.0, 300.0, 90.0], other: [50.0, 100.0, 60.0]}
    table = pipeline_table(setting, results, {"keras-cv": "keras_cv is not installed"}, 3, (500, 375))
    title, _, decoding, ours, row, left_out = table.splitlines()
    assert title == "224 pixels, batches of 64, 2 workers, JPEG files of 500×375; medians of 3 rounds"
    assert decoding.split() == ["decoding", "only", "200", "10.00"]
    assert ours.split() == ["tf.data", "100", "20.00"]
    assert row.split() == [other, "60", "33.33", "2.00", "(1.50..3.00)"]
    assert left_out == "keras-cv: left out, keras_cv is not installed"


def test_the_operation_table_holds_milliseconds():
    _, row = operation_table([("Rotate", 0.412, 0.987)]).splitlines()
    assert row.split() == ["Rotate", "0.41", "0.99"]


def test_the_export_tables_ratios_are_those_of_the_same_round():
    setting = Setting("deit_ti", "inference", 1, "float32", get_variant("deit_ti").arguments)
    seconds = {"LiteRT int8": [0.005, 0.012, 0.009], "timm": [0.01, 0.02, 0.01]}
    title, header, row, timm, left_out = export_table(
        setting, 2, seconds, {"timm compiled": "no compiler"}
    ).splitlines()
    assert title == "deit_ti at 224 pixels, batch 1, 2 threads"
    assert "ratio to timm:" in header
    assert row.split(maxsplit=3) == ["LiteRT", "int8", "9.00", "0.600 (0.550 to 0.750)"]
    assert timm.split() == ["timm", "10.00"]
    assert left_out.split(maxsplit=2) == ["timm", "compiled", "left out: no compiler"]


def test_the_startup_table_holds_medians(make_setting):
    title, _, row = startup_table(make_setting("training"), "jax", {"import keras": [1.0, 2.0, 4.0]}).splitlines()
    assert title.startswith("tiny at 32 pixels, batch 2, float32, training; jax;")
    assert row.split() == ["import", "keras", "2.00", "(1.50", "to", "3.00)"]


def test_the_roofline_table_holds_the_least_time_of_each_part(make_setting):
    parts = [Part("MLP", 8e9, 1e9, is_product=True), Part("gelu", 1e9, 1e9, is_product=False)]
    table = roofline_table(make_setting("training"), "cpu (2 cores)", parts, [1e9, 4e9], [1e9, 1e9])
    title, product, memory, bound, _, mlp, gelu, total = table.splitlines()
    assert title == "tiny at 32 pixels, batch 2, float32, training on cpu (2 cores)"
    assert product == "matrix product: 2.5 (1.8 to 3.2) GFLOP/s"
    assert memory == "memory: 1.0 (1.0 to 1.0) GB/s"
    assert "below 2.5 FLOP/byte" in bound
    assert mlp.split() == ["MLP", "8.00", "1000.0", "8.0", "3200.00", "76.2%"]
    assert gelu.split() == ["gelu", "1.00", "1000.0", "1.0", "1000.00", "23.8%"]
    assert total.split() == ["sum", "9.00", "2000.0", "4.5", "4200.00"]
