"""Batches from `tf.data`."""

import io
import pathlib
import time

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageRecords, InputPipeline, LabelledImages
from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.data.pipeline.tf_data_pipeline import from_stream, timed
from tests.data.images import noise
from tests.data.pipeline.first_batches import assert_equal, input_pipeline, take

pillow = pytest.importorskip("PIL.Image", reason="Pillow encodes the files")
tf = pytest.importorskip("tensorflow", reason="TensorFlow makes the batches")
pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("num_workers", [2, 8])
def test_the_number_of_threads_changes_no_batch(num_workers, image_files, first_batches):
    alone = first_batches("tf.data")[:6]
    assert not np.array_equal(alone[0][0], alone[3][0])  # another epoch
    received = take(input_pipeline(image_files, "tf.data", num_workers=num_workers).training_batches(), 6)
    assert_equal(received, alone)


def test_records_give_the_batches_of_their_files(image_files, first_batches):
    contents = [pathlib.Path(path).read_bytes() for path in image_files.paths]
    records = ImageRecords("records", list(zip(contents, image_files.labels, strict=True)), image_files.class_names)
    assert_equal(take(input_pipeline(records, "tf.data").training_batches(), 3), first_batches("tf.data")[:3])


@pytest.mark.parametrize("first", [0, 1])
def test_records_of_files_and_of_pixels_give_the_pixels(first):
    images, labels = noise(4, 8, 8, 3), np.array([0, 1, 1, 0])
    encoded = []
    for index, image in enumerate(images):
        file = io.BytesIO()
        pillow.fromarray(image).save(file, "BMP")
        encoded.append(file.getvalue() if index % 2 == first else image)
    records = ImageRecords("mixed", list(zip(encoded, labels, strict=True)), ("a", "b"))
    arrays = ImageData("noise", images, labels, ("a", "b"))
    received, expected = (
        list(InputPipeline(data, 8, pipeline="tf.data", crop_ratio=1.0).evaluation_batches(4))
        for data in (records, arrays)
    )
    assert_equal(received, expected)


def test_files_whose_labels_are_unknown_are_read_by_index(image_files):
    class Unlabelled(LabelledImages):
        name, class_names, paths = "mine", image_files.class_names, image_files.paths

        def __len__(self):
            return len(self.paths)

        def __getitem__(self, index):
            return image_files[index]

    received, expected = (
        list(input_pipeline(data, "tf.data").evaluation_batches(8)) for data in (Unlabelled(), image_files)
    )
    assert_equal(received, expected)


def test_an_evaluation_has_a_known_length():
    data = ImageData("noise", noise(5, 4, 4, 3), np.zeros(5, int), ("a", "b"))
    batches = InputPipeline(data, 4, pipeline="tf.data").evaluation_batches(2)
    assert len(batches) == 3
    assert [image.shape for image, _, _ in batches] == [(2, 4, 4, 3), (2, 4, 4, 3), (1, 4, 4, 3)]


def test_the_consumer_of_a_dataset_is_timed():
    def stream():
        for _ in range(3):
            time.sleep(0.05)
            yield np.zeros((2, 8, 8, 3), "float32"), np.zeros((2, 2), "float32")

    timer = InputStallTimer()
    batches = iter(timed(from_stream(stream, 2, (8, 8)), timer))
    images, labels = next(batches)
    assert (images.shape, labels.shape) == ((2, 8, 8, 3), (2, 2))
    assert 0.03 < timer.seconds < 5
    assert len(list(batches)) == 2
