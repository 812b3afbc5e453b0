"""Image files of many formats, and the first batches that each pipeline makes of them."""

import functools
import itertools

import numpy as np
import pytest

from keras_deit.data import ImageFiles
from tests.data.pipeline.first_batches import input_pipeline, skip_without, take


@pytest.fixture(scope="session")
def image_files(tmp_path_factory):
    """24 photographs: JPEG with and without EXIF rotation, grey, PNG, CMYK, 16 bits; some without a label."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes and reads the images")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the photographs")
    folder = tmp_path_factory.mktemp("image_files")
    paths = []
    for index, photograph in enumerate(itertools.islice(itertools.cycle(datasets.load_sample_images().images), 24)):
        image = pillow.fromarray(photograph[5 * index : 5 * index + 260, 7 * index : 7 * index + 300 - 4 * index])
        path, options = folder / f"{index:02d}.jpg", {"quality": 92}
        if index % 8 == 3:
            exif = pillow.Exif()
            exif[0x0112] = 6  # rotated by 90 degrees
            options["exif"] = exif
        elif index % 8 == 4:
            image = image.convert("L")
        elif index % 8 == 5:
            path, options = path.with_suffix(".png"), {}
        elif index % 8 == 6:
            image = image.convert("CMYK")
        elif index % 8 == 7:
            grey = np.asarray(image.convert("L")).astype("uint16") * 257
            image, path, options = pillow.fromarray(grey), path.with_suffix(".png"), {}
        image.save(path, **options)
        paths.append(str(path))
    return ImageFiles("photographs", tuple(paths), np.arange(24) % 5 - 1, ("a", "b", "c", "d"))


@pytest.fixture(scope="session")
def first_batches(image_files):
    """Function of a pipeline and an augmentation that returns their first seven batches, which are made once."""

    @functools.cache
    def made(pipeline, augmentation="deit"):
        skip_without(pipeline)
        return take(input_pipeline(image_files, pipeline, augmentation).training_batches(), 7)

    return made
