"""A grid of images with captions."""

import numpy as np
import pytest

from keras_deit.explain import draw_grid

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the grid")
pytest.importorskip("matplotlib", reason="matplotlib draws the grid")


def test_images_are_drawn_in_rows_and_their_normalisation_is_undone(tmp_path):
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    colours = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    images = np.broadcast_to(((colours - mean) / std)[:, None, None], (3, 16, 16, 3))
    path = draw_grid(images, ["red", "green\nteacher: leaf", "blue"], tmp_path / "grid.png", 2, mean, std)
    drawn = np.asarray(pillow.open(path).convert("RGB"))
    height, width, _ = drawn.shape
    quarters = {
        (255, 0, 0): drawn[: height // 2, : width // 2],
        (0, 255, 0): drawn[: height // 2, width // 2 :],
        (0, 0, 255): drawn[height // 2 :, : width // 2],
    }
    for colour, quarter in quarters.items():
        assert (quarter == colour).all(-1).mean() > 0.4
    assert (drawn[height // 2 :, width // 2 :] == 255).all()  # the fourth cell is empty


@pytest.mark.parametrize("caption", ["$5 and $10", r"$\frac$", "a_$x"])
def test_captions_are_plain_text(caption, tmp_path):
    assert draw_grid(np.zeros((1, 8, 8, 3)), [caption], tmp_path / "grid.png", 1, 0.5, 0.5).stat().st_size
