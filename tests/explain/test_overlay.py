"""Attention maps over images."""

import numpy as np
import pytest

from keras_deit.explain import draw_attention

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
matplotlib = pytest.importorskip("matplotlib", reason="matplotlib draws the picture")
pytestmark = pytest.mark.backend_independent
COLOUR = np.array([0.9, 0.1, 0.2])
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
IMAGES = np.broadcast_to(((COLOUR - MEAN) / STD)[None, None, None], (2, 32, 16, 3))


def viridis_over_grey(share):
    """The colour of a patch with a share of the largest attention, over the grey of the image."""
    grey = COLOUR @ [0.299, 0.587, 0.114]
    return np.round(255 * (0.65 * np.array(matplotlib.colormaps["viridis"](share)[:3]) + 0.35 * grey))


def fraction_of(pixels, colour):
    return (abs(pixels - colour).max(-1) <= 2).mean()


@pytest.fixture
def cells_of(monkeypatch):
    """A function that reads the cells of a saved picture, arrays of pixels without titles and margins."""
    from matplotlib.figure import Figure

    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **options: saved.append(self) or save(self, *args, **options)
    )

    def read(path):
        pixels = np.asarray(pillow.open(path).convert("RGB")).astype(int)
        height, width, _ = pixels.shape
        for axes in saved[-1].axes:
            box = axes.get_position()
            rows = slice(int((1 - box.y1) * height) + 2, int((1 - box.y0) * height) - 2)
            yield pixels[rows, int(box.x0 * width) + 2 : int(box.x1 * width) - 2]

    return read


def test_the_image_comes_first_and_each_map_covers_it_in_grey(tmp_path, cells_of):
    left, lower = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    left[:, :, 0] = 0.5  # twice as much as if all patches got the same
    lower[:, 1] = 0.5
    maps = {"left": left, "lower": lower}
    path = draw_attention(IMAGES, maps, tmp_path / "attention.png", MEAN, STD, ["$5", "two\nlines"])
    image, left, lower, *_ = cells_of(path)
    assert fraction_of(image, 255 * COLOUR) == 1
    rows, columns = lower.shape[0] // 2, left.shape[1] // 2
    assert fraction_of(left[:, : columns - 3], viridis_over_grey(1.0)) == 1
    assert fraction_of(left[:, columns + 3 :], viridis_over_grey(0.0)) == 1
    assert fraction_of(lower[: rows - 3], viridis_over_grey(0.0)) == 1
    assert fraction_of(lower[rows + 3 :], viridis_over_grey(1.0)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["attention.png"]


def test_the_maps_of_an_image_share_their_scale(tmp_path, cells_of):
    even, one = np.full((1, 2, 2), 0.25), np.zeros((1, 2, 2))
    one[:, 0, 0] = 1  # four times as much
    path = draw_attention(IMAGES[:1], {"even": even, "one": one}, tmp_path / "attention.png", MEAN, STD)
    _, even, _, *_ = cells_of(path)
    assert fraction_of(even, viridis_over_grey(0.25)) == 1


@pytest.mark.parametrize(
    ("images", "maps", "captions"),
    [
        (IMAGES, {"class": np.ones((1, 2, 2))}, None),
        (IMAGES, {"class": np.ones((2, 2, 2))}, ["one"]),
        (IMAGES, {}, None),
        (IMAGES[:0], {"class": np.ones((0, 2, 2))}, None),
    ],
)
def test_numbers_that_differ_are_refused(images, maps, captions, tmp_path):
    path = tmp_path / "attention.png"
    path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match="needs at least one image and one column of maps"):
        draw_attention(images, maps, path, MEAN, STD, captions)
    assert path.read_bytes() == b"earlier"


def test_a_caption_may_be_the_name_of_a_file_that_is_not_in_utf_8(tmp_path):
    caption = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    path = draw_attention(IMAGES[:1], {"class": np.ones((1, 2, 2))}, tmp_path / "attention.png", MEAN, STD, [caption])
    assert pillow.open(path).size[0] > 100
