"""The tables' rows and units."""

import pytest

from keras_deit.benchmark.models import Timing
from keras_deit.benchmark.setting import PipelineSetting, Setting, multiply_adds
from keras_deit.benchmark.table import export_table, model_table, operation_table, pipeline_table
from keras_deit.models import get_variant


def test_the_model_table_holds_speed_ratio_and_share_of_the_peak():
    setting = Setting("deit_b", "inference", 256, "bfloat16", get_variant("deit_b").arguments)
    ratios = [1.0, 1.1, 1.2, 1.3, 1.4]
    timings = [Timing("keras_deit", [0.02] * 5, [1.0] * 5), Timing("timm", [0.024] * 5, ratios)]
    table = model_table(setting, timings, {"keras_hub": "not installed"}, "torch", "NVIDIA H200")
    title, _, ours, peer, left_out = table.splitlines()
    assert title.startswith("deit_b at 224 pixels, batch 256, bfloat16, inference;")
    assert title.endswith("torch on NVIDIA H200, 5 rounds")
    gigaflops = 256 * 2 * multiply_adds(**setting.architecture) / 0.02 / 1e9
    assert ours.split()[:4] == ["keras_deit", "20.00", "12800.0", f"{gigaflops:.1f}"]
    assert f"{gigaflops / 989_500:.1%} of the peak" in ours
    assert "1.200 (1.100 to 1.300)" in peer
    assert left_out.split(maxsplit=1) == ["keras_hub", "left out: not installed"]


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
