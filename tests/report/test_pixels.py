"""The images of a run's report."""

import numpy as np
import pytest

from keras_deit.explain import attention_rollout
from keras_deit.report import pixels
from keras_deit.report.pixels import NUM_SAMPLES, shown_attention
from tests.report.students import make_data, make_student

pytest.importorskip("matplotlib", reason="the figures")
pytest.importorskip("PIL.Image", reason="Pillow resizes the images")
pytestmark = pytest.mark.eager


@pytest.fixture
def drawn(monkeypatch):
    """The arguments with which figures are drawn."""
    calls = []
    monkeypatch.setattr(pixels, "attention_figure", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("distilled", [True, False])
def test_each_token_is_shown_for_images_at_equal_distances(distilled, drawn):
    student, data = make_student(distilled=distilled), make_data()
    shown = shown_attention(student, data)
    indices = [0, 8, 16, 23, 31, 39]
    assert len(drawn) == NUM_SAMPLES
    assert [example.image for example in shown] == [data.describe(index) for index in indices]
    processed = student.image_processor()(data.images[indices])
    tokens = ("class", "distillation") if distilled else ("class",)
    expected = {f"{token} token": attention_rollout(student, processed, token) for token in tokens}
    for position, (images, maps, mean, std) in enumerate(drawn):
        np.testing.assert_allclose(images * std + mean, data.images[indices[position]][None] / 255, atol=1e-6)
        assert list(maps) == list(expected)
        for title, of_images in expected.items():
            np.testing.assert_allclose(maps[title], of_images[position : position + 1], atol=1e-5)


@pytest.mark.backend_independent
def test_the_figure_has_the_image_and_each_map():
    (first, *_) = shown_attention(make_student(), make_data())
    assert [axes.get_title() for axes in first.figure.axes[1:3]] == ["class token", "distillation token"]
