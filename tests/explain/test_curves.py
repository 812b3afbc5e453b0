"""Training curves as an image file."""

import pytest

from keras_deit.explain import draw_curves

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib draws the curves")


def rows(offset):
    return [{"epoch": epoch, "loss": 2.0 / epoch, "val_accuracy": 0.1 * epoch + offset} for epoch in (1, 2, 3)]


def test_both_runs_are_drawn(tmp_path):
    path = draw_curves({"with a teacher": rows(0.1), "without a teacher": rows(0.0)}, tmp_path / "curves.png")
    from matplotlib.image import imread

    pixels = imread(path)
    assert pixels.shape[0] > 300
    assert pixels.std() > 0.05  # the image is not empty
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_a_failure_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyError):
        draw_curves({"": [{"loss": 1.0}]}, path)
    assert path.read_bytes() == b"earlier"
