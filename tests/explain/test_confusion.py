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


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, in this list."""
    from matplotlib.figure import Figure

    saved, save = [], Figure.savefig

    def savefig(self, *arguments, **options):
        saved.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_text_is_cut_off(classes, tmp_path):
    names = [f"a class with a rather long name {index}" for index in range(classes)]
    path = draw_confusion(12345 * np.eye(classes, dtype=int), names, names, tmp_path / "confusion.png")
    pixels = np.asarray(pillow.open(path).convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize(
    ("classes", "named", "counted"), [(25, True, True), (26, True, False), (60, True, False), (61, False, False)]
)
def test_the_column_of_other_classes_does_not_count_as_a_class(classes, named, counted, tmp_path, figures):
    names = [f"class {index}" for index in range(classes)]
    confusion = np.eye(classes, classes + 1, dtype=int)
    draw_confusion(confusion, names, [*names, "other classes"], tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    assert ("other classes" in [label.get_text() for label in axes.get_xticklabels()]) == named
    assert [text.get_text() for text in axes.texts] == ["1"] * (classes if counted else 0)
