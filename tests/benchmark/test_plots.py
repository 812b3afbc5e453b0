"""The plots hold what was measured."""

import matplotlib.figure
import pytest
from PIL import Image

from keras_deit.benchmark.measurement import Measurement, Timing
from keras_deit.benchmark.plots import draw_comparison, draw_sweep

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def figures(monkeypatch):
    """The figures that were written to files."""
    saved, save = [], matplotlib.figure.Figure.savefig

    def record(figure, *arguments, **options):
        saved.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", record)
    return saved


def measure(setting, backend="torch", **seconds):
    timings = [
        Timing(name, [value] * 3, 1e9 * setting.batch_size, is_peer=name != "keras_deit")
        for name, value in seconds.items()
    ]
    return Measurement(setting, backend, "cpu", timings, Timing("matrix product", [1.0] * 3, 1e9), {})


def test_a_comparison_has_a_bar_for_each_implementation(make_setting, figures, tmp_path):
    path, inference, training = tmp_path / "bars.png", make_setting(), make_setting("training")
    measurements = [
        measure(inference, keras_deit=1.0, timm=0.5),
        measure(training, keras_deit=4.0),
        measure(inference, "jax", keras_deit=0.25),
    ]
    draw_comparison(measurements, path)
    (figure,) = figures
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "keras_deit (torch)",
        "timm (torch)",
        "keras_deit (jax)",
    ]
    assert [bar.get_width() for bar in first.patches] == [2.0, 4.0, 8.0]  # images per second of a batch of 2
    assert [bar.get_width() for bar in second.patches] == [0.5]
    assert Image.open(path).size[0] > 500


def test_a_sweep_has_a_line_over_the_operations_for_each_implementation(make_setting, figures, tmp_path):
    settings = [make_setting(batch_size=size) for size in (1, 2, 4)]
    measurements = [measure(setting, keras_deit=seconds) for setting, seconds in zip(settings, (1, 2, 8), strict=True)]
    draw_sweep(measurements, "batch_size", tmp_path / "sweep.png")
    (figure,) = figures
    times, costs = figure.axes
    measured, expected = times.lines
    assert measured.get_xydata().tolist() == [[1, 1000], [2, 2000], [4, 8000]]
    assert expected.get_ydata().tolist() == [1000, 2000, 4000]
    assert costs.lines[0].get_ydata().tolist() == [1, 1, 2]
