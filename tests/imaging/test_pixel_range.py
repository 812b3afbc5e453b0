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
        PIXELS / 255 * 34.2 - 1.2,  # also of a photograph at night
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
        (NORMALIZED[:1].clip(-0.5), "undo the normalisation"),  # a bright image
        (NORMALIZED.clip(max=-1), "undo the normalisation"),  # a dark one
        (NORMALIZED * 5, "undo the normalisation"),
    ],
)
def test_pixels_of_another_range_are_refused(images, message):
    with pytest.raises(ValueError, match="must have pixels in 0..255.*" + message):
        check_pixels(images)
    if isinstance(images, np.ndarray):
        with pytest.raises(ValueError, match="must have pixels in 0..255"):
            check_pixels(keras.ops.convert_to_tensor(images))


def test_dark_pixels_after_a_filter_are_questioned():
    from PIL import Image

    night = np.where(np.arange(64) % 32 < 16, 0, 25).astype("float32")
    resized = np.asarray(Image.fromarray(np.tile(night, (64, 1))).resize((224, 224), Image.Resampling.BICUBIC))
    assert resized.min() < -1
    assert 25 < resized.max() < 32
    with pytest.warns(UserWarning, match="may be normalised.*undo the normalisation.*dark pixels, clip them"):
        check_pixels(resized)


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


def test_images_standardised_by_themselves_are_questioned_at_most():
    sparse = (np.where(RNG.random((2, 32, 32, 3)) < 0.001, 1, 0) - 0.01) / 0.02
    sparse[0, 0, 0] = (1 - 0.01) / 0.02
    dark = np.zeros((1, 224, 224, 3))
    dark[0, 5, 5] = 1
    one_bright = (dark - dark.mean()) / max(dark.std(), dark.size**-0.5)  # tf.image.per_image_standardization
    for images, largest in ((sparse, r"49\.5"), (one_bright, r"22\d")):
        with pytest.warns(UserWarning, match=rf"seem not to be normalised by .*\.\.{largest}.*Ignore this"):
            check_normalized(images)


def test_raw_pixels_pass_if_the_model_scales_them_itself():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for images in (UINT8, PIXELS, UINT8.astype("int32")):
            check_normalized(images, mean=0, std=1 / 255)  # PIXELS / 255 is what (x - 0) / (1 / 255) undoes
    for images in (UINT8 > 100, UINT8.astype("uint16") * 257, PIXELS * 257):
        with pytest.raises(ValueError, match="must be normalised"):
            check_normalized(images, mean=0, std=1 / 255)


def test_a_batch_stays_on_its_device(monkeypatch):
    copied = []
    copy = keras.ops.convert_to_numpy
    monkeypatch.setattr(
        keras.ops, "convert_to_numpy", lambda values: copied.append(tuple(values.shape)) or copy(values)
    )
    check_pixels(keras.ops.convert_to_tensor(PIXELS))
    check_normalized(keras.ops.convert_to_tensor(NORMALIZED))
    assert set(copied) == {()}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_with_a_value_that_is_not_finite_are_refused(value, dtype):
    images = NORMALIZED.copy()
    images[1, 2, 3, 1] = value
    for check in (check_pixels, check_normalized):
        with pytest.raises(ValueError, match="NaN or infinite"):
            check(keras.ops.cast(images, dtype))
