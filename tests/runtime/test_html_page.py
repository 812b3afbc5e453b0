"""HTML pages in one file each."""

import base64
import io

import numpy as np
import pytest

from keras_deit.runtime.html_page import drawing, embedded_pixels, page, table
from tests.html_pages import Page

pytestmark = pytest.mark.backend_independent
SURROGATE = b"caf\xe9".decode("utf-8", "surrogateescape")  # a file's name that is not in UTF-8


def decoded(image):
    Image = pytest.importorskip("PIL.Image", reason="Pillow decodes the images")  # noqa: N806
    (attributes,) = Page(f"<p>{image}</p>").images
    kind, _, content = attributes["src"].partition(";base64,")
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_texts_are_escaped():
    content = page(f"<i>{SURROGATE}", [table(["a<b"], [["<script>alert(1)</script>"], [SURROGATE]])])
    found = Page(content)
    assert "a<b<script>alert(1)</script>caf\\udce9" in found.text
    assert content.encode()


def test_a_small_image_is_stored_exactly_and_a_large_one_approximately():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    kind, stored = decoded(embedded_pixels(pixels / 255, 'an "image"'))
    assert kind == "data:image/png"
    np.testing.assert_array_equal(stored, pixels)
    grey = np.full((80, 100, 3), 100)
    kind, stored = decoded(embedded_pixels(grey / 255, "grey"))
    assert kind == "data:image/jpeg"
    np.testing.assert_allclose(stored, grey, atol=2)


def test_a_plot_is_an_image_with_a_description():
    pytest.importorskip("matplotlib", reason="the plot")
    (image,) = Page(f"<p>{drawing(lambda axes: axes.set_title('犬'), 'a > b')}</p>").images
    assert image["alt"] == "a > b"
    assert image["src"].startswith("data:image/svg+xml;base64,")
