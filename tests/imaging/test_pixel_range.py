import warnings

import keras
import numpy as np
import pytest

from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.pixel_range import check_normalized, check_pixels

RNG = np.random.default_rng(0)
UINT8 = RNG.integers(0, 256, (2, 8, 8, 3)).astype("uint8")
PIXELS = UINT8.astype("float32")
UNIT = PIXELS / 255
NORMALIZED = ((UNIT - IMAGENET_MEAN) / IMAGENET_STD).astype("float32")


@pytest.mark.parametrize(
    "images",
    [
        UINT8,
        PIXELS,
        PIXELS.astype("int64"),
        UINT8.astype("uint16") * 257,
        np.zeros((2, 8, 8, 3), "uint8"),
        np.ones((2, 8, 8, 3), "uint8"),
        np.zeros((2, 8, 8, 3), "float32"),
        PIXELS * 1.2 - 20,  # a bicubic filter overshoots
        [PIXELS, np.full((8, 8, 3), 0.5)],  # one dark image among others
        [],
        np.zeros((0, 8, 8, 3)),
    ],
)
def test_pixels_in_0_to_255_pass(images):
    check_pixels(images)
    if isinstance(images, np.ndarray) and images.dtype != "uint16":
        check_pixels(keras.ops.convert_to_tensor(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (UNIT, "Received: float32 values in .*multiply them by 255"),
        ([UNIT, UNIT[0]], "multiply them by 255"),
        (UNIT * 2 - 1, r"values in -1\.\.1.*undo the normalisation"),
        (NORMALIZED, "undo the normalisation"),
        (UINT8 > 100, r"Received: booleans.*astype\('uint8'\) \* 255"),
        (np.where(PIXELS > 100, np.nan, PIXELS), "NaN or infinite"),
        (PIXELS - 128, "Scale them to 0..255"),
        (PIXELS * 16, "Scale them to 0..255"),
        ((PIXELS - 128).astype("int8"), "Received: int8 values"),
    ],
)
def test_pixels_of_another_range_are_refused(images, message):
    with pytest.raises(ValueError, match="must have pixels in 0..255.*" + message):
        check_pixels(images)
    if isinstance(images, np.ndarray):
        with pytest.raises(ValueError, match="must have pixels in 0..255"):
            check_pixels(keras.ops.convert_to_tensor(images))


def test_symbolic_images_pass():
    check_pixels(keras.Input((8, 8, 3)))
    check_normalized(keras.Input((8, 8, 3)))


@pytest.mark.parametrize("images", [NORMALIZED, UNIT * 2 - 1, NORMALIZED * 5, np.zeros((2, 8, 8, 3))])
def test_normalised_images_pass(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_normalized(images)
        check_normalized(UNIT, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (UINT8, "uint8 values in .*keras_deit.ImageProcessor"),
        (PIXELS, "float32 values in .*keras_deit.ImageProcessor"),
        (UINT8.astype("int32"), "int32 values"),
        (UINT8 > 100, "bool values"),
        (np.full((1, 8, 8, 3), np.nan), "NaN"),
    ],
)
def test_raw_pixels_are_not_normalised(images, message):
    with pytest.raises(ValueError, match="must be normalised by mean and standard deviation.*" + message):
        check_normalized(images)


def test_pixels_in_0_to_1_are_questioned():
    with pytest.warns(UserWarning, match=r"seem to be pixels in 0\.\.1.*Compute \(images - mean\) / std"):
        check_normalized(UNIT)
