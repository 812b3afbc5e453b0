"""A matrix of disagreements as an image file."""

import numpy as np
import pytest

from keras_deit.explain import draw_disagreement

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
pytest.importorskip("matplotlib", reason="matplotlib draws the picture")
pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("scale", [0.0, 0.004, 1.0])
def test_numbers_are_written_in_percent_and_no_text_is_cut_off(scale, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **options: saved.append(self) or save(self, *args, **options)
    )
    names = ("teacher", "a classifier with a long $name", "fused")
    rates = scale * np.array([[0.0, 0.5, 1.0], [0.5, 0.0, 0.25], [1.0, 0.25, 0.0]])
    path = draw_disagreement(names, rates, tmp_path / "disagreement.png")
    (axes,) = saved[0].axes
    expected = [f"{100 * scale * rate:.1f}%" for rate in (0, 0.5, 1, 0.5, 0, 0.25, 1, 0.25, 0)]
    assert [text.get_text() for text in axes.texts] == expected
    assert [label.get_text() for label in axes.get_xticklabels()] == list(names)
    pixels = np.asarray(pillow.open(path).convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()
