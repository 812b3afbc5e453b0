"""A confusion matrix as an image file."""

import numpy as np
import pytest

from keras_deit.explain import draw_confusion

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
pytest.importorskip("matplotlib", reason="matplotlib draws the picture")
pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("classes", [2, 40, 300])
def test_the_diagonal_of_a_good_classifier_is_dark(classes, tmp_path):
    names = [f"class {index}" for index in range(classes)]
    path = draw_confusion(10 * np.eye(classes, dtype=int), names, names, tmp_path / "confusion.png")
    pixels = np.asarray(pillow.open(path).convert("RGB")).astype(int)
    dark = (abs(pixels - (8, 48, 107)).sum(-1) < 10).mean()  # the darkest blue of the map
    assert dark > 0.002
    assert (pixels == 255).all(-1).mean() > 0.1
    assert [file.name for file in tmp_path.iterdir()] == ["confusion.png"]


def test_names_of_any_kind_and_classes_without_images_are_drawn(tmp_path, recwarn):
    names = ("$a$", "猫", b"caf\xe9".decode("utf-8", "surrogateescape"), "long " * 20)
    draw_confusion(np.diag([1, 0, 2, 3]), names, names, tmp_path / "confusion.png")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
