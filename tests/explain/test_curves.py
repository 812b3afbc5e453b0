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


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_only_head_of_a_model_is_not_called_fused(tmp_path, figures):
    heads = [{**row, "val_class_accuracy": 0.2, "val_distillation_accuracy": 0.3} for row in rows(0.0)]
    draw_curves({"": rows(0.0)}, tmp_path / "one.png")
    draw_curves({"": heads}, tmp_path / "two.png")
    draw_curves({"teacher": heads, "no teacher": rows(0.0)}, tmp_path / "both.png")
    one, two, both = (legend_of(figure.axes[1]) for figure in figures)
    assert one == ["model"]
    assert two == ["fused", "class head", "distillation head"]
    assert both == ["fused, teacher", "class head, teacher", "distillation head, teacher", "model, no teacher"]


def test_a_line_that_another_one_covers_is_still_seen(tmp_path):
    from matplotlib.image import imread

    covered = [{**row, "val_class_accuracy": row["val_accuracy"]} for row in rows(0.0)]
    pixels = imread(draw_curves({"": covered}, tmp_path / "curves.png"))[:, :, :3]
    blue = abs(pixels - [0x1F / 255, 0x77 / 255, 0xB4 / 255]).max(-1) < 0.1  # the first colour of matplotlib
    right_panel = blue[150:, blue.shape[1] // 2 :]  # without the legend
    assert right_panel.sum() > 500


def test_a_failure_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyError):
        draw_curves({"": [{"loss": 1.0}]}, path)
    assert path.read_bytes() == b"earlier"
