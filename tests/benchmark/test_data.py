"""The benchmark of the input pipeline runs and reads as a table; its figures are for the benchmark alone."""

import json
import os

import pytest

from keras_deit.benchmark import data as data_benchmark
from keras_deit.benchmark.models import main

pillow = pytest.importorskip("PIL.Image", reason="pictures are written by Pillow")
pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")


def test_pictures_are_of_imagenets_typical_size(tmp_path):
    data_benchmark.write_pictures(tmp_path)
    paths = sorted(tmp_path.glob("*.jpg"))
    assert len(paths) == 64
    assert {pillow.open(path).size for path in paths} == {(500, 375)}
    sizes = [path.stat().st_size for path in paths]
    assert 80_000 < sum(sizes) / len(sizes) < 140_000  # ImageNet's is about 110 kB


def test_it_times_tf_data_and_names_what_it_left_out(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tensorflow", reason="the pipeline is TensorFlow's")
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    found = data_benchmark.importlib.util.find_spec
    hidden = {"timm", "grain", "keras_cv"}
    monkeypatch.setattr(
        data_benchmark.importlib.util, "find_spec", lambda name: None if name in hidden else found(name)
    )
    options = ["--image-size", "32", "--batch-size", "8", "--batches", "2", "--rounds", "1", "--workers", "2"]
    report = tmp_path / "report.json"
    assert main(["data", *options, "--no-operations", "--report", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "timm: left out, timm is not installed" in printed
    results = json.loads(report.read_text())
    assert set(results) == {"decoding alone", "tf.data"}
    assert all(len(speeds) == 1 and speeds[0] > 0 for speeds in results.values())


def test_ratios_are_those_of_the_same_round():
    options = data_benchmark._parser().parse_args(["--rounds", "3", "--workers", "2"])
    results = {"tf.data": [100.0, 300.0, 90.0], "timm": [50.0, 100.0, 60.0]}
    lines = list(data_benchmark.describe(results, {}, options))
    assert lines[-1].split() == ["timm", "60", "33.33", "2.00", "(1.50..3.00)"]
