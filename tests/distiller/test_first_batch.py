"""Raw pixels are found in the first batch of every kind of data."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.distiller.first_batch import FirstBatchCheck
from tests.distiller.scripted import CLASSES, compiled, fit, small_deit
from tests.toys import conv_teacher

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("float32")
NORMALISED = ((PIXELS / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
LABELS = np.arange(8) % CLASSES


class Batches(keras.utils.PyDataset):
    """Two batches."""

    def __init__(self, images, **options):
        super().__init__(**options)
        self.images = images

    @property
    def num_batches(self):
        return 2

    def __getitem__(self, index):
        chosen = slice(4 * index, 4 * index + 4)
        return self.images[chosen], LABELS[chosen]


def generator(images):
    for _ in range(10):
        yield images, LABELS


def tf_dataset(images):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    return tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(4)


def stored_tf_dataset(images):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    x = {"image": images, "teacher": np.eye(CLASSES, dtype="float32")[LABELS]}
    return tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(4)


def data_loader(images):
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    dataset = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(LABELS))
    return torch.utils.data.DataLoader(dataset, batch_size=4)


def grain_dataset(images):
    grain = pytest.importorskip("grain", reason="Grain is optional")
    source = [(images[i], LABELS[i]) for i in range(8)]
    return grain.MapDataset.source(source).batch(4)


KINDS = {
    "tf.data": tf_dataset,
    "tf.data with stored outputs": stored_tf_dataset,
    "generator": generator,
    "PyDataset": Batches,
    "PyDataset with workers": lambda images: Batches(images, workers=2),
    "DataLoader": data_loader,
    "Grain": grain_dataset,
}


@pytest.fixture(scope="module")
def distiller():
    return compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_raw_pixels_raise(distiller, make):
    message = r"must be normalised by `image_mean` and `image_std`.*whose pixels would lie in 0.4.*\.\.5\d"
    steps = {"steps_per_epoch": 2} if make is generator else {}
    with pytest.raises(ValueError, match=message):
        distiller.fit(make(PIXELS), verbose=0, **steps)
    with pytest.raises(ValueError, match=message):
        distiller.evaluate(make(PIXELS), verbose=0, steps=2 if steps else None)
    validation = {"validation_data": make(PIXELS), "validation_steps": 2 if steps else None}
    with pytest.raises(ValueError, match=message):
        distiller.fit(NORMALISED, LABELS, verbose=0, **validation)
    fit(distiller, make(NORMALISED), **steps)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_every_batch_comes_once_and_unchanged(make):
    seen = []
    received, expected = list(FirstBatchCheck(seen.append).wrap(make(NORMALISED))), list(make(NORMALISED))
    assert len(received) == len(expected)
    for batch, reference in zip(received, expected, strict=True):
        for value, same in zip(keras.tree.flatten(batch), keras.tree.flatten(reference), strict=True):
            np.testing.assert_array_equal(np.asarray(value), np.asarray(same))
    assert len(seen) == 1
    np.testing.assert_array_equal(np.asarray(seen[0]), NORMALISED[: len(seen[0])])


def test_a_directory_of_images_raises(distiller, tmp_path):
    pytest.importorskip("tensorflow", reason="image_dataset_from_directory returns a tf.data.Dataset")
    for name in "abcd":
        (tmp_path / name).mkdir()
        for index in range(2):
            keras.utils.save_img(tmp_path / name / f"{index}.png", PIXELS[index], scale=False)
    data = keras.utils.image_dataset_from_directory(tmp_path, image_size=(16, 16), batch_size=4, verbose=False)
    with pytest.raises(ValueError, match="must be normalised by `image_mean` and `image_std`"):
        distiller.fit(data, verbose=0)
    fit(distiller, data.map(lambda images, labels: ((images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD, labels)))


def test_pixels_in_0_to_1_are_questioned(distiller):
    with pytest.warns(
        UserWarning, match=r"look like pixels in 0..1 that are not normalised.*image_mean=0 and image_std=1"
    ):
        distiller.evaluate(PIXELS / 255, LABELS, verbose=0)
    with pytest.warns(UserWarning, match="look like pixels in 0..1"):
        distiller.evaluate(Batches(PIXELS / 255), verbose=0)
