"""Operations by Pillow, against those of timm and, without timm, of NumPy."""

import numpy as np
import pytest

from keras_deit.data.augment import pillow_ops
from keras_deit.data.augment.operation_names import NAMES, NOTHING, index_of
from tests.data.images import OPERATION_ARGUMENTS, photographs

pillow = pytest.importorskip("PIL.Image", reason="the operations are Pillow's")
pytestmark = pytest.mark.backend_independent
NAMES_IN_TIMM = {"TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel"}


def applied(name, pixels, argument=0.0):
    return np.asarray(pillow_ops.apply(pillow.fromarray(pixels), [index_of(name)], [argument]))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("Grayscale", "GaussianBlur")])
def test_pixels_are_those_of_timm(name):
    operations = pytest.importorskip("timm.data.auto_augment", reason="the reference is timm", exc_type=ImportError)
    for pixels in photographs():
        for argument in OPERATION_ARGUMENTS.get(name, (0,)):
            arguments = (argument,) if name in OPERATION_ARGUMENTS else ()
            options = {"fillcolor": (124, 116, 104), "resample": pillow.Resampling.BILINEAR}
            expected = operations.NAME_TO_OP[NAMES_IN_TIMM.get(name, name)](
                pillow.fromarray(pixels), *arguments, **options
            )
            np.testing.assert_array_equal(applied(name, pixels, argument), np.asarray(expected))


def test_pixels_are_those_of_numpy():
    pixels = photographs()[0]
    np.testing.assert_array_equal(applied("Posterize", pixels, 3), pixels & 0b11100000)
    assert not applied("Posterize", pixels, 0).any()
    np.testing.assert_array_equal(applied("Solarize", pixels, 100), np.where(pixels < 100, pixels, 255 - pixels))
    added = np.where(pixels < 128, np.minimum(pixels.astype(int) + 60, 255), pixels)
    np.testing.assert_array_equal(applied("SolarizeAdd", pixels, 60), added)
    moved = applied("TranslateX", pixels, 0.25)
    np.testing.assert_array_equal(moved[:, :-32], pixels[:, 32:])
    assert (moved[:, -32:] == (124, 116, 104)).all()
    grey = applied("Grayscale", pixels).astype(float)
    np.testing.assert_allclose(grey[..., 0], pixels @ np.array([0.299, 0.587, 0.114]), atol=1)
    assert (grey[..., :1] == grey).all()


def test_no_operation_changes_nothing():
    pixels = photographs()[0]
    received = pillow_ops.apply(pillow.fromarray(pixels), [NOTHING, NOTHING], [0.0, 0.0])
    np.testing.assert_array_equal(np.asarray(received), pixels)
