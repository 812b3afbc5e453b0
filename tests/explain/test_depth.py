"""Charts over the depth of a model."""

import numpy as np
import pytest

from keras_deit.explain import draw_attention_distance, draw_token_similarity

pytest.importorskip("matplotlib", reason="matplotlib draws the charts")
pytestmark = pytest.mark.backend_independent


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, in this list."""
    from matplotlib.figure import Figure

    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **options: saved.append(self) or save(self, *args, **options)
    )
    return saved


def test_the_similarity_begins_at_the_input(tmp_path, figures):
    path = draw_token_similarity(np.array([-0.4, 0.5, 0.93]), tmp_path / "similarity.png")
    (axes,) = figures[0].axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, -0.4], [1, 0.5], [2, 0.93]])
    assert axes.get_ylim()[0] < -0.4
    assert path.stat().st_size


def test_the_distance_of_each_head_and_their_mean_are_drawn_from_the_first_block(tmp_path, figures):
    path = draw_attention_distance(np.array([[10.0, 30.0], [40.0, 80.0]]), tmp_path / "distance.png")
    (axes,) = figures[0].axes
    dots = axes.collections[0].get_offsets()
    np.testing.assert_array_equal(dots, [[1, 10], [1, 30], [2, 40], [2, 80]])
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 20], [2, 60]])
    assert axes.get_ylim()[0] == 0
    assert path.stat().st_size
