"""The image processor against PIL, on real photographs."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd

images = pytest.importorskip("PIL.Image", reason="Pillow reads the image files and computes the reference")
datasets = pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")

PHOTOGRAPHS = datasets.load_sample_images().images  # two of 427×640 pixels
MEAN, STD = np.array(kd.IMAGENET_MEAN), np.array(kd.IMAGENET_STD)


def by_pil(pixels, size, crop_ratio):
    """torchvision's Resize, CenterCrop and Normalize, which call PIL."""
    height, width = pixels.shape[:2]
    short = int(size / crop_ratio)
    wide = (int(short * width / height), short) if height <= width else (short, int(short * height / width))
    resized = np.asarray(images.fromarray(pixels).resize(wide, images.Resampling.BICUBIC))
    top, left = (round((side - size) / 2) for side in resized.shape[:2])
    return (resized[top : top + size, left : left + size] / 255 - MEAN) / STD


def largest_difference(received, expected):
    """The largest difference of pixel values in 0..1."""
    return np.abs((ops.convert_to_numpy(received) - expected) * STD).max()


@pytest.mark.parametrize(("size", "crop_ratio"), [(224, 0.875), (384, 0.9), (224, 1.0), (64, 0.875), (600, 1.0)])
def test_photographs_agree_with_pil(size, crop_ratio):
    processor = kd.ImageProcessor(size, crop_ratio)
    for photograph in (*PHOTOGRAPHS, np.ascontiguousarray(PHOTOGRAPHS[0].transpose(1, 0, 2))):
        expected = by_pil(photograph, size, crop_ratio)
        assert largest_difference(processor(photograph), expected) < 1e-6


@pytest.mark.parametrize("interpolation", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize(("size", "crop_ratio", "squash"), [(224, 0.875, False), (224, 0.875, True), (600, 1.0, True)])
def test_every_filter_agrees_with_pil(interpolation, size, crop_ratio, squash):
    """All pixels are equal; with `squash` the aspect ratio is not kept."""
    processor = kd.ImageProcessor(
        size, crop_ratio, mean=(0, 0, 0), std=(1, 1, 1), interpolation=interpolation, squash=squash
    )
    resized = int(size / crop_ratio)
    wide = (resized, resized) if squash else (int(resized * 640 / 427), resized)
    expected = images.fromarray(PHOTOGRAPHS[0]).resize(wide, getattr(images.Resampling, interpolation.upper()))
    left, top = (round((side - size) / 2) for side in wide)
    expected = np.asarray(expected)[top : top + size, left : left + size].astype("int")
    received = ops.convert_to_numpy(processor(PHOTOGRAPHS[0])) * 255
    np.testing.assert_allclose(received, received.round(), atol=1e-3)
    np.testing.assert_array_equal(received.round(), expected)


def test_one_image_a_batch_a_list_and_files_are_the_same(tmp_path):
    processor = kd.ImageProcessor(32)
    for index, photograph in enumerate(PHOTOGRAPHS):
        images.fromarray(photograph).save(tmp_path / f"{index}.png")
    expected = np.stack([ops.convert_to_numpy(processor(photograph)) for photograph in PHOTOGRAPHS])
    paths = [tmp_path / "0.png", str(tmp_path / "1.png")]
    for batch in (np.stack(PHOTOGRAPHS), np.stack(PHOTOGRAPHS).astype("float32"), list(PHOTOGRAPHS), paths):
        np.testing.assert_allclose(ops.convert_to_numpy(processor(batch)), expected, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(processor(paths[0])), expected[0], atol=1e-5)


def test_images_of_several_sizes_and_modes(tmp_path):
    grey, turned = PHOTOGRAPHS[0].mean(-1).astype("uint8"), PHOTOGRAPHS[1][:300]
    exif = images.Exif()
    exif[0x0112] = 6  # to be shown rotated by 90° clockwise
    images.fromarray(turned).save(tmp_path / "turned.png", exif=exif)
    images.fromarray(PHOTOGRAPHS[0]).convert("CMYK").save(tmp_path / "print.jpg")
    batch = ops.convert_to_numpy(kd.ImageProcessor(32)([grey, tmp_path / "turned.png", tmp_path / "print.jpg"]))
    assert batch.shape == (3, 32, 32, 3)
    assert largest_difference(batch[0], by_pil(np.repeat(grey[..., None], 3, -1), 32, 0.875)) < 1e-6
    # Pillow resizes the columns of this tall image first, and rounds them: a difference of 1 of 255.
    assert largest_difference(batch[1], by_pil(np.rot90(turned, -1).copy(), 32, 0.875)) <= 1 / 255 + 1e-6


def test_a_rectangular_image_size_is_filled():
    result = kd.ImageProcessor((32, 64), crop_ratio=1.0)(PHOTOGRAPHS[0])
    assert tuple(result.shape) == (32, 64, 3)
    resized = images.fromarray(PHOTOGRAPHS[0]).resize((64, int(64 * 427 / 640)), images.Resampling.BICUBIC)
    top = round((resized.height - 32) / 2)
    assert largest_difference(result, (np.asarray(resized)[top : top + 32] / 255 - MEAN) / STD) < 1e-6


def test_the_layer_is_saved_with_a_model(tmp_path):
    pixels = keras.Input((40, 60, 3), dtype="uint8")
    processor = kd.ImageProcessor(
        32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="box", squash=True, dtype="mixed_bfloat16"
    )
    model = keras.Model(pixels, kd.DeiTBackbone(32, 16, 8, num_layers=1, num_heads=2)(processor(pixels))["class_token"])
    photographs = np.stack(PHOTOGRAPHS)[:, :40, :60]
    expected = model.predict(photographs, verbose=0)
    model.save(tmp_path / "model.keras")
    received = keras.saving.load_model(tmp_path / "model.keras").predict(photographs, verbose=0)
    np.testing.assert_allclose(received, expected, atol=1e-5)
    assert keras.backend.standardize_dtype(processor(photographs).dtype) == "float32"


def test_invalid_images_and_arguments_are_refused(tmp_path):
    processor = kd.ImageProcessor(32)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 and no more")
    for wrong, message in (
        (np.zeros((3, 40, 60)), r"Expected an image \(height, width, 3\)"),
        ([], "an empty list"),
        (tmp_path / "none.png", "There is no image file at"),
        (tmp_path / "broken.jpg", "broken.jpg' cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            processor(wrong)
    with pytest.raises(ValueError, match="of a known size"):
        processor(keras.Input((None, None, 3)))
    with pytest.raises(ValueError, match="`crop_ratio` must be above 0"):
        kd.ImageProcessor(32, crop_ratio=0)
    with pytest.raises(ValueError, match="`std` must be positive"):
        kd.ImageProcessor(32, std=0)
    with pytest.raises(
        ValueError, match=r"`interpolation` must be one of \('nearest', 'box', .* interpolation='cubic'"
    ):
        kd.ImageProcessor(32, interpolation="cubic")


def test_sixteen_bits_are_scaled_and_unknown_ranges_refused(tmp_path):
    grey = PHOTOGRAPHS[0].mean(axis=-1).round()
    images.fromarray((grey * 257).astype("uint16")).save(tmp_path / "sixteen.png")
    images.fromarray(grey.astype("uint8")).save(tmp_path / "eight.png")
    processor = kd.ImageProcessor(64)
    assert (
        largest_difference(processor(tmp_path / "sixteen.png"), ops.convert_to_numpy(processor(tmp_path / "eight.png")))
        < 1e-6
    )
    images.fromarray(grey.astype("float32")).save(tmp_path / "floats.tiff")
    with pytest.raises(ValueError, match="floats.tiff' cannot be read: its pixels are of mode 'F'"):
        processor(tmp_path / "floats.tiff")


def test_pillow_images_and_greyscale_arrays_equal_rgb_arrays():
    processor, photograph = kd.ImageProcessor(64), images.fromarray(PHOTOGRAPHS[0])
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (processor(photograph), processor(PHOTOGRAPHS[0]))))
    grey = photograph.convert("L")
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (processor(grey), processor(np.asarray(grey)))))
