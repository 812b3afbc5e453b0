"""Training curves as a picture."""

import pytest

from keras_deit.explain import draw_curves

matplotlib = pytest.importorskip("matplotlib", reason="the curves are drawn with matplotlib")


def rows(offset):
    return [{"epoch": epoch, "loss": 2.0 / epoch, "val_accuracy": 0.1 * epoch + offset} for epoch in (1, 2, 3)]


def test_both_runs_become_a_picture(tmp_path):
    path = tmp_path / "curves.png"
    draw_curves({"with a teacher": rows(0.1), "without a teacher": rows(0.0)}, path)
    from matplotlib.image import imread

    picture = imread(path)
    assert picture.shape[0] > 300
    assert picture.std() > 0.05  # something is drawn
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_a_picture_that_fails_leaves_the_former_one(tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"former")
    with pytest.raises(KeyError):
        draw_curves({"": [{"loss": 1.0}]}, path)
    assert path.read_bytes() == b"former"
