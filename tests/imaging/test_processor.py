"""The image processor against PIL, on real photographs."""

import json
import tracemalloc

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from keras_deit.imaging import kernels

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
    # From version 13 on, Pillow resizes the columns of some tall images first, and rounds and clips them before the rows.
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
    with pytest.raises(ValueError, match="`bit_depth` must be from 9 to 16, or None for 16. Received: bit_depth=8"):
        kd.ImageProcessor(32, bit_depth=8)
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


@pytest.mark.parametrize(
    "pixels",
    [
        PHOTOGRAPHS[0] / 255,
        PHOTOGRAPHS[0] / 127.5 - 1,
        PHOTOGRAPHS[0] > 100,
        [PHOTOGRAPHS[0] / 255, PHOTOGRAPHS[1] / 255],
    ],
    ids=["0..1", "-1..1", "booleans", "list"],
)
def test_pixels_of_another_range_are_refused(pixels):
    with pytest.raises(ValueError, match=r"The images must have pixels in 0\.\.255\. Received: "):
        kd.ImageProcessor(32)(pixels)


def test_a_dark_image_among_others_and_black_pass():
    processor = kd.ImageProcessor(32)
    dark = np.full((40, 60, 3), 0.7, "float32")
    received = ops.convert_to_numpy(processor([PHOTOGRAPHS[0].astype("float32"), dark]))[1]
    np.testing.assert_allclose(received * STD + MEAN, 1 / 255, atol=1e-6)
    for black in (np.zeros((40, 60, 3), "uint8"), np.zeros((40, 60, 3), "float32")):
        np.testing.assert_allclose(ops.convert_to_numpy(processor(black)) * STD + MEAN, 0, atol=1e-6)


def _array_and_tensor(array):
    """An array of uint16, and the tensor of it; Keras makes none of that dtype on PyTorch, but PyTorch does."""
    if keras.backend.backend() == "torch":
        import torch

        return array, torch.tensor(array)
    return array, ops.convert_to_tensor(array)


def test_arrays_and_tensors_of_sixteen_bits_are_scaled():
    processor = kd.ImageProcessor(64)
    expected = ops.convert_to_numpy(processor(PHOTOGRAPHS[0]))
    sixteen = PHOTOGRAPHS[0].astype("uint16") * 257
    for images_of_16_bits in _array_and_tensor(sixteen):
        np.testing.assert_allclose(ops.convert_to_numpy(processor(images_of_16_bits)), expected, atol=1e-6)
    twelve = (PHOTOGRAPHS[0] / 255 * 4095).round().astype("uint16")
    of_12_bits = kd.ImageProcessor(64, bit_depth=12)
    for images_of_12_bits in _array_and_tensor(twelve):
        np.testing.assert_allclose(ops.convert_to_numpy(of_12_bits(images_of_12_bits)), expected, atol=1e-6)
    assert kd.ImageProcessor.from_config(of_12_bits.get_config()).bit_depth == 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_pillow_images_of_any_mode_are_taken(mode):
    image = images.fromarray(PHOTOGRAPHS[0]).convert(mode)
    expected = by_pil(np.asarray(image.convert("RGB")), 64, 0.875)
    assert largest_difference(kd.ImageProcessor(64)(image), expected) < 1e-6


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha_of_a_batch_are_taken(channels):
    batch = np.stack(PHOTOGRAPHS)
    batch = batch[..., :1] if channels == 1 else np.concatenate([batch, batch[..., :1]], axis=-1)
    expected = np.repeat(batch, 3, axis=-1) if channels == 1 else batch[..., :3]
    processor = kd.ImageProcessor(64)
    for images_of_channels in (batch, ops.convert_to_tensor(batch)):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(processor(images_of_channels)), ops.convert_to_numpy(processor(expected))
        )


@pytest.mark.parametrize("shape", [(2, 3000), (3000, 2), (5, 4000)])
def test_strips_are_resized_as_pil_does(shape):
    """Pillow makes the whole of the resized strip, hundreds of megabytes; the processor makes the crop alone."""
    strip = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")
    tracemalloc.start()
    received = kd.ImageProcessor(32)(strip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest_difference(received, by_pil(strip, 32, 0.875)) <= 1 / 255 + 1e-6
    assert peak < 2e6


def test_kept_weights_are_bounded_in_bytes():
    assert kernels.crop_weights(100, 50, 32, "bicubic") is kernels.crop_weights(100, 50, 32, "bicubic")
    large = kernels.MAX_CACHED_VALUES // 32 + 1
    assert kernels.crop_weights(large, 50, 32, "bicubic") is not kernels.crop_weights(large, 50, 32, "bicubic")


@pytest.mark.parametrize("is_batched", [False, True])
def test_the_processor_works_within_tf_data_on_every_backend(is_batched):
    tf = pytest.importorskip("tensorflow")
    processor, pixels = kd.ImageProcessor(32), np.stack(PHOTOGRAPHS)
    expected = ops.convert_to_numpy(processor(pixels))
    dataset = tf.data.Dataset.from_tensor_slices(pixels)
    dataset = dataset.batch(2) if is_batched else dataset
    processed = dataset.map(processor, num_parallel_calls=2)
    assert tuple(processed.element_spec.shape[-3:]) == (32, 32, 3)
    received = np.concatenate([images.numpy().reshape(-1, 32, 32, 3) for images in processed])
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_images_of_unknown_size_within_tf_data():
    """On TensorFlow the layer is part of a graph, which needs the size; on other backends it is called for each image."""
    tf = pytest.importorskip("tensorflow")
    processor = kd.ImageProcessor(32)
    photographs = [PHOTOGRAPHS[0], PHOTOGRAPHS[1][:300]]
    signature = tf.TensorSpec((None, None, 3), tf.uint8)
    dataset = tf.data.Dataset.from_generator(lambda: photographs, output_signature=signature)
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(ValueError, match="of a known size"):
            dataset.map(processor)
        return
    for received, photograph in zip(dataset.map(processor), photographs, strict=True):
        np.testing.assert_allclose(received, ops.convert_to_numpy(processor(photograph)), atol=1e-6)


def test_numpy_numbers_become_pythons():
    arguments = dict(crop_ratio=np.float32(0.9), squash=np.bool_(True), bit_depth=np.int64(12))
    arguments |= dict(mean=np.float32([0.5, 0.25, 0.75]), std=np.float64(0.5), image_size=np.int32(32))
    for config in (kd.ImageProcessor(**arguments).get_config(), kd.Preprocessing(**arguments).get_config()):
        stored = json.loads(json.dumps(config))
        assert stored["crop_ratio"] == float(np.float32(0.9))
        assert (stored["squash"], stored["bit_depth"]) == (True, 12)
        assert (stored["mean"], stored["image_size"]) == ([0.5, 0.25, 0.75], [32, 32])


def test_an_array_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"Received: shape=\(0, 40, 3\)"):
        kd.ImageProcessor(8)(np.zeros((0, 40, 3), "uint8"))
