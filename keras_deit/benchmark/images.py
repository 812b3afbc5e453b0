"""Image files for the benchmarks, made from the photographs that scikit-learn ships."""

import pathlib

from keras_deit.runtime.optional import require

NUM_FILES = 64
FILE_SIZE, FILE_BYTES = (500, 375), 110_000  # (width, height) in pixels and bytes: typical of ImageNet


def photographs():
    """Loads scikit-learn's two photographs.

    Returns:
        A list of two RGB Pillow images.

    Raises:
        ImportError: If scikit-learn or Pillow is not installed.
    """
    datasets = require("sklearn.datasets", extra="run", purpose="Loading the photographs to measure with")
    return [_pillow().fromarray(pixels) for pixels in datasets.load_sample_images().images]


def write_images(folder):
    """Writes 64 different JPEG files of the size that is typical of ImageNet: 500×375 pixels and about 110 kB.

    Args:
        folder: The directory to write to.
    """
    originals, bicubic = photographs(), _pillow().Resampling.BICUBIC
    for index in range(NUM_FILES):
        original = originals[index % len(originals)]
        width, height = original.size
        image = original.resize(FILE_SIZE, bicubic, box=(index, index, width - index, height - index))
        _save_with_typical_size(image, pathlib.Path(folder, f"{index:03d}.jpg"))


def _pillow():
    return require("PIL.Image", extra="weights", purpose="Making images to measure with")


def _save_with_typical_size(image, path):
    for quality in range(90, 100):
        image.save(path, quality=quality)
        if path.stat().st_size >= FILE_BYTES:
            return
