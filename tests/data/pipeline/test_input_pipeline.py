"""The pipelines: the same batches, whatever makes them and wherever they begin."""

import dataclasses
import itertools
import pathlib

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.data import Augmentation, ImageData, ImageFiles, InputPipeline, InputStallTimer, SamplingPlan

pillow = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
datasets = pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")

SIZE, BATCH = (48, 64), 8
NO_TENSORFLOW = "the pipeline is TensorFlow's"
AUGMENTATIONS = {
    "deit": dataclasses.replace(Augmentation.of(recipes.get("deit")), erasing=0.5, repeats=1),
    "deit3": Augmentation.of(recipes.get("deit3_1k")),
    "nothing": Augmentation(),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs in files of many kinds: JPEG with and without EXIF rotation, grey, PNG, CMYK, 16 bits."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for place, photograph in enumerate(itertools.islice(itertools.cycle(datasets.load_sample_images().images), 24)):
        picture = pillow.fromarray(photograph[5 * place : 5 * place + 260, 7 * place : 7 * place + 300 - 4 * place])
        path, options = folder / f"{place:02d}.jpg", {"quality": 92}
        if place % 8 == 3:
            exif = pillow.Exif()
            exif[0x0112] = 6  # lies on its side
            options["exif"] = exif
        elif place % 8 == 4:
            picture = picture.convert("L")
        elif place % 8 == 5:
            path, options = path.with_suffix(".png"), {}
        elif place % 8 == 6:
            picture = picture.convert("CMYK")
        elif place % 8 == 7:
            grey = np.asarray(picture.convert("L")).astype("uint16") * 257
            picture, path, options = pillow.fromarray(grey), path.with_suffix(".png"), {}
        picture.save(path, **options)
        paths.append(str(path))
    return ImageFiles("pictures", tuple(paths), np.arange(24) % 5 - 1, ("a", "b", "c", "d"))


def plan(data, augmentation=AUGMENTATIONS["deit"]):
    return SamplingPlan(len(data), BATCH, SIZE, augmentation, seed=3)


def taken(batches, number):
    return [keras.tree.map_structure(np.asarray, batch) for batch in itertools.islice(iter(batches), number)]


def by(pipeline, data, number=3, augmentation=AUGMENTATIONS["deit"], epoch=0, batch=0, **options):
    feed = InputPipeline(data, SIZE, crop_ratio=0.875, pipeline=pipeline, **options)
    return taken(feed.training(plan(data, augmentation), InputStallTimer(), epoch, batch), number)


def assert_equal(one, two):
    for left, right in zip(keras.tree.flatten(one), keras.tree.flatten(two), strict=True):
        np.testing.assert_array_equal(left, right)


def steps_of_255(one, two):
    return np.abs(one - two) * np.array(kd.IMAGENET_STD) * 255


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_tf_data_and_python_show_the_same(name, pictures):
    pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
    augmentation = AUGMENTATIONS[name]
    one, two = (by(pipeline, pictures, 3, augmentation) for pipeline in ("tf.data", "python"))
    for (images, labels), (others, other_labels) in zip(one, two, strict=True):
        assert images.shape == (BATCH, *SIZE, 3)
        np.testing.assert_allclose(labels, other_labels, atol=1e-6)
        assert steps_of_255(images, others).mean() < 0.5
        assert (steps_of_255(images, others) > 4).mean() < 0.02  # a threshold or an edge that rounding puts elsewhere


@pytest.mark.parametrize("num_workers", [2, 8])
def test_threads_change_nothing(num_workers, pictures):
    pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
    alone = by("tf.data", pictures, 6, num_workers=1)
    assert not np.array_equal(alone[0][0], alone[3][0])  # another epoch
    assert_equal(by("tf.data", pictures, 6, num_workers=num_workers), alone)


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_beginning_in_the_middle_of_an_epoch_goes_on_as_it_would_have(pipeline, pictures):
    if pipeline == "tf.data":
        pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
    whole = by(pipeline, pictures, 7)  # three an epoch
    assert_equal(by(pipeline, pictures, 3, epoch=1, batch=1), whole[4:7])


def test_worker_processes_change_nothing(pictures):
    pytest.importorskip("grain", reason="the pipeline is Grain's")
    if keras.backend.backend() == "tensorflow":
        pytest.skip("with TensorFlow there is tf.data")
    assert_equal(by("grain", pictures, 5, batch=1, num_workers=2), by("python", pictures, 5, batch=1))


def test_augmented_views_differ_and_plain_ones_do_not(pictures):
    plain = by("python", pictures, 6, AUGMENTATIONS["nothing"])
    order = [plan(pictures).views(epoch, batch)[0] for epoch in (0, 1) for batch in range(3)]
    first = {
        index: image
        for indices, (images, _) in zip(order[:3], plain[:3], strict=True)
        for index, image in zip(indices, images, strict=True)
    }
    again = {
        index: image
        for indices, (images, _) in zip(order[3:], plain[3:], strict=True)
        for index, image in zip(indices, images, strict=True)
    }
    assert_equal([first[index] for index in range(24)], [again[index] for index in range(24)])


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_evaluation_shows_every_picture_once_as_the_image_processor_does(pipeline, pictures):
    if pipeline == "tf.data":
        pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
    feed = InputPipeline(pictures, SIZE, crop_ratio=0.875, pipeline=pipeline)
    batches = feed.evaluation(10, multiple_of=4)
    batches = [batches[place] for place in range(batches.num_batches)] if pipeline == "python" else list(batches)
    images, labels, weights = (np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in range(3))
    assert [len(batch[0]) for batch in batches] == [10, 10, 4]
    np.testing.assert_array_equal(labels.argmax(-1)[pictures.labels >= 0], pictures.labels[pictures.labels >= 0])
    assert not labels[pictures.labels < 0].any()  # no label is a row of zeros
    np.testing.assert_array_equal(weights, np.ones(24))
    processor = kd.ImageProcessor(SIZE, 0.875)
    for path, image in zip(pictures.paths, images, strict=True):
        expected = keras.ops.convert_to_numpy(processor(path))
        assert steps_of_255(image, expected).mean() < 0.5
        assert steps_of_255(image, expected).max() < 5  # rows and columns are rounded in another order


def test_files_arrays_and_their_contents_give_the_same_samples(pictures):
    files = pictures.without(set(pictures.paths) - set(pictures.paths[:3]))  # plain JPEGs
    arrays = [np.asarray(pillow.open(path)) for path in files.paths]
    labels = files.labels
    read = [pathlib.Path(path).read_bytes() for path in files.paths]
    contents = kd.data.ImageRecords("records", list(zip(read, labels, strict=True)), files.class_names)
    in_memory = ImageData("arrays", arrays, labels, files.class_names)
    batches = []
    for data in (files, in_memory, contents):
        feed = InputPipeline(data, SIZE, crop_ratio=0.875, pipeline="python")
        batches += taken(feed.training(SamplingPlan(3, 2, SIZE, AUGMENTATIONS["deit"]), InputStallTimer()), 2)
    assert_equal(batches[:2], batches[2:4])
    assert_equal(batches[:2], batches[4:6])


def test_records_come_through_tf_data_as_files_do(pictures):
    pytest.importorskip("tensorflow", reason=NO_TENSORFLOW)
    records = [
        (pathlib.Path(path).read_bytes(), label) for path, label in zip(pictures.paths, pictures.labels, strict=True)
    ]
    records = kd.data.ImageRecords("records", records, pictures.class_names)
    assert_equal(by("tf.data", records), by("tf.data", pictures))


def test_grain_datasets_of_ones_own_are_records(pictures):
    grain = pytest.importorskip("grain", reason="the dataset is Grain's")
    dataset = grain.MapDataset.source(list(range(24))).map(lambda place: pictures[place])
    records = kd.data.ImageRecords("mine", dataset, pictures.class_names)
    assert_equal(by("python", records), by("python", pictures))


def test_answers_come_beside_the_images_and_end_the_batches():
    data = ImageData("noise", np.zeros((8, *SIZE, 3), "uint8"), np.arange(8) % 2, ("a", "b"))
    answers = [np.full(4, place, "int32") for place in range(3)]
    feed = InputPipeline(data, SIZE)
    batches = taken(feed.training(SamplingPlan(8, 4, SIZE), InputStallTimer(), answers=lambda: iter(answers)), 10)
    assert [batch[0]["teacher"].tolist() for batch in batches] == [[0] * 4, [1] * 4, [2] * 4]
    assert batches[0][0]["image"].shape == (4, *SIZE, 3)


def test_waiting_is_what_the_reader_waits():
    clock = InputStallTimer()

    def slow():
        import time

        for _ in range(3):
            time.sleep(0.05)
            yield 1

    batches = clock.timed(slow())
    assert next(batches) == 1
    assert 0.04 < clock.seconds < 0.5
    assert list(batches) == [1, 1]
    assert clock.seconds > 0.14


def test_grain_is_not_for_tensorflow_and_others_are_unknown(monkeypatch):
    data = ImageData("noise", np.zeros((8, *SIZE, 3), "uint8"), np.arange(8) % 2, ("a", "b"))
    with pytest.raises(ValueError, match="`pipeline` must be one of"):
        InputPipeline(data, SIZE, pipeline="dali")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ValueError, match="With TensorFlow use 'tf.data'"):
        InputPipeline(data, SIZE, pipeline="grain")
