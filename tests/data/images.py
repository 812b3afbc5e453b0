"""Images that the tests of the datasets share."""

import io

import numpy as np
import pytest

# Arguments that the operations of augmentation are tried with; the other operations take none.
OPERATION_ARGUMENTS = {
    "GaussianBlur": (0.1, 0.7, 1.3, 2.0),
    "Rotate": (-27.3, 3.0, 30.0),
    "Posterize": (1, 2, 4),  # recent versions of Pillow refuse to keep no bit
    "Solarize": (0, 26, 128, 256),
    "SolarizeAdd": (0, 50, 110),
    "ShearX": (-0.3, 0.1, 0.27),
    "ShearY": (-0.3, 0.1, 0.27),
    "TranslateX": (-0.45, 0.1, 0.31),
    "TranslateY": (-0.45, 0.1, 0.31),
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (0.1, 0.4, 1.0, 1.9)),
}


def noise(*shape, seed=0):
    """Random pixels, uint8."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def encode(image, file_format="PNG", **options):
    """Content of an image file, bytes, of a Pillow image or of pixels `(height, width, 3)`."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
    file = io.BytesIO()
    image = pillow.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, file_format, **options)
    return file.getvalue()


def write_folder(folder, number, **classes):
    """Writes a folder of PNG files of 40×50 pixels for each class, given by the grey value of its first image."""
    for name, grey in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(number):
            pixels = np.full((40, 50, 3), grey + index, "uint8")
            (folder / name / f"{index:02d}.png").write_bytes(encode(pixels))


def photographs():
    """Two crops of photographs, the second one with little contrast, and an image of a single colour: 96×128 pixels each."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the photographs")
    china, flower = datasets.load_sample_images().images
    return [china[100:196, 200:328], flower[50:146, 100:228] // 2 + 40, np.full((96, 128, 3), (10, 90, 250), "uint8")]
