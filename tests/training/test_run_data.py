"""The images of a run and the pipelines that make its batches."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData, ImageRecords
from keras_deit.training import usable_images
from keras_deit.training.resolve import resolve
from keras_deit.training.run_data import load_run_data, suitable_batch_size
from keras_deit.training.usable_images import UnreadableError

RNG = np.random.default_rng(0)
NOISE = ImageData("noise", RNG.integers(0, 256, (20, 8, 8, 3), dtype="uint8"), np.arange(20) % 2, ("a", "b"))
PHOTOGRAPHS = ImageRecords("photographs", [(RNG.integers(0, 256, (40, 50, 3), "uint8"), 0)] * 8, ("a",))


def load_with(monkeypatch, data, **settings):
    """Loads the images of a run whose splits are both the given dataset, without a teacher if none is given."""
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    given = {"variant": "deit_ti", "dataset": "mine", "distillation": "none", "batch_size": 4, **settings}
    return load_run_data(resolve(given))


def test_batches_hold_the_images_of_the_plan(monkeypatch):
    data = load_with(monkeypatch, NOISE, batch_size=6)
    assert data.image_size == (8, 8)
    assert data.plan.num_batches == 3
    assert data.skipped == {"train": {"images": 0}, "test": {"images": 0}}
    for epoch in (0, 1):
        images, labels = data.first_batch(epoch)
        indices, _ = data.plan.samples(epoch, 0)
        expected = (NOISE.images[indices] / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD
        np.testing.assert_allclose(images, expected, atol=1e-5)
        np.testing.assert_array_equal(labels, np.eye(2)[NOISE.labels[indices]])
    weights = [np.asarray(batch[2]) for batch in data.test_batches()]
    np.testing.assert_array_equal(np.concatenate(weights), np.ones(20))
    assert sum(map(len, map(np.asarray, (batch[2] for batch in data.test_batches(num_replicas=8))))) == 24


def test_some_images_of_a_split_are_prepared_as_for_the_evaluation(monkeypatch):
    data = load_with(monkeypatch, NOISE)
    images, labels = data.prepared(data.train, 3)
    expected = (NOISE.images[[0, 10, 19]] / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert labels.tolist() == [0, 0, 1]
    assert len(data.prepared(data.test, 100)[0]) == 20


def test_the_metrics_of_a_model_are_those_of_the_test_split(monkeypatch):
    data = load_with(monkeypatch, NOISE)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), weighted_metrics=["accuracy"])
    images = ((NOISE.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
    expected = (model.predict(images, verbose=0).argmax(-1) == NOISE.labels).mean()
    results = data.evaluate(model)
    assert set(results) == {"loss", "accuracy"}
    assert results["accuracy"] == pytest.approx(expected)


def test_a_class_with_test_images_alone_is_refused(monkeypatch):
    trained = dataclasses.replace(NOISE, labels=np.zeros(20, int))
    monkeypatch.setattr(usable_images, "load", lambda name, split, *_, **__: trained if split == "train" else NOISE)
    with pytest.raises(ValueError, match="The classes b of 'noise' have test images and no training images"):
        load_run_data(resolve({"variant": "deit_ti", "dataset": "mine", "distillation": "none", "batch_size": 4}))


def test_the_images_of_each_class_are_described(monkeypatch):
    lines = load_with(monkeypatch, NOISE).describe().splitlines()
    assert lines[0] == "noise: 2 classes, 20 train, 20 test"
    assert [line.split() for line in lines[1:]] == [["class", "train", "test"], ["a", "10", "10"], ["b", "10", "10"]]
    checked = load_with(monkeypatch, PHOTOGRAPHS, crop_scale=(0.5, 1.0), image_size=16).describe()
    assert checked.splitlines()[2].split() == ["a", "8", "8"]  # the labels of records are those that the check has read


def test_a_run_data_cannot_be_changed(monkeypatch):
    data = load_with(monkeypatch, NOISE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.train = data.test
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.training.batch_size = 2
    assert data.training is data.training  # the pipelines are made once
    assert data.plan is data.training.plan


def test_arrays_keep_their_shape(monkeypatch):
    images = RNG.integers(0, 256, (20, 8, 12, 3), dtype="uint8")
    data = load_with(monkeypatch, ImageData("wide", images, np.arange(20) % 2, ("a", "b")))
    assert data.image_size == (8, 12)
    assert data.first_batch()[0].shape == (4, 8, 12, 3)
    assert data.train.images is images


def test_arrays_without_random_crops_are_resized_once(monkeypatch):
    data = load_with(monkeypatch, NOISE, image_size=16, crop_scale="none")
    assert data.train.image_size == data.test.image_size == data.image_size == (16, 16)
    assert data.training.training_pipeline == "python"
    cropped = load_with(monkeypatch, NOISE, image_size=16, crop_scale=(0.5, 1.0))
    assert cropped.train.image_size == (8, 8)
    assert cropped.first_batch()[0].shape == (4, 16, 16, 3)


@pytest.mark.parametrize(("variant", "size"), [("deit_ti", 224), ("deit_b_384", 384)])
def test_images_of_several_sizes_get_the_size_of_the_variant(variant, size, monkeypatch):
    settings = dict(variant=variant, check_images=False, recipe="deit", drop_path_rate=0.0)
    assert load_with(monkeypatch, PHOTOGRAPHS, **settings).image_size == (size, size)
    assert load_with(monkeypatch, PHOTOGRAPHS, **settings, image_size=32).image_size == (32, 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 21}, "cannot be drawn from the 20 images"),
        ({"batch_size": 5, "mixup": 0.8}, "the batch size must be even"),
    ],
)
def test_batches_that_cannot_be_made_are_refused(settings, message, monkeypatch):
    with pytest.raises(ValueError, match=message):
        load_with(monkeypatch, NOISE, **settings)


def test_records_are_checked_like_files(monkeypatch, tmp_path, capsys):
    pytest.importorskip("PIL.Image", reason="images are read by Pillow")
    pytest.importorskip("tqdm", reason="it shows a progress bar")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    records = [(RNG.integers(0, 256, (40, 50, 3), "uint8"), index % 2) for index in range(20)]
    records[3] = (b"not an image", 1)  # damaged
    records[5] = (RNG.integers(0, 256, (9, 9, 3), "uint8"), 1)  # tiny
    labelled = ImageRecords("mine", list(records), ("a", "b"), identity="labelled")
    options = dict(image_size=32, max_skipped=0.1, skip_images=("tiny",))
    data = load_with(monkeypatch, labelled, **options)
    assert data.skipped["train"] == data.skipped["test"] == {"images": 2, "unreadable": 1, "tiny": 1}
    printed = capsys.readouterr().out
    assert "2 of the 20 images of 'mine' (train) are left out:\n  image 3 of 'mine': unreadable\n" in printed
    assert (len(data.train), data.plan.num_examples) == (18, 18)
    assert data.first_batch()[0].shape == (4, 32, 32, 3)

    records[7] = (records[7][0], -1)  # without a label
    unlabelled = ImageRecords("mine", records, ("a", "b"), identity="unlabelled")
    with pytest.raises(ValueError, match=r"1 training images have no label.* Pass --teacher"):
        load_with(monkeypatch, unlabelled, **options)
    assert len(load_with(monkeypatch, unlabelled, **options, distillation="hard").train) == 18
    with pytest.raises(ValueError, match="1 training images have no label.* without --compare"):
        load_with(monkeypatch, unlabelled, **options, distillation="hard", compare=True)


@pytest.mark.parametrize("given", [{"patience": 2}, {"keep": "best"}])
def test_the_best_epoch_needs_labels_in_the_test_split(monkeypatch, given):
    unlabelled = dataclasses.replace(NOISE, labels=np.full(20, -1))
    monkeypatch.setattr(usable_images, "load", lambda name, split, *_, **__: NOISE if split == "train" else unlabelled)
    settings = {"variant": "deit_ti", "dataset": "mine", "batch_size": 4}
    with pytest.raises(ValueError, match="none of its 20 images has a label.*leave --patience and --keep best out"):
        load_run_data(resolve({**settings, **given}))
    assert len(load_run_data(resolve(settings)).test) == 20


def test_unlabelled_test_images_need_a_teacher(monkeypatch):
    """Keras's accuracy would count their rows of zeros as images of the first class."""
    labels = np.where(np.arange(20) > 16, -1, NOISE.labels)
    splits = {"train": NOISE, "test": ImageData("noise", NOISE.images, labels, NOISE.class_names)}
    monkeypatch.setattr(usable_images, "load", lambda dataset, split, *_, **__: splits[split])
    given = {"variant": "deit_ti", "dataset": "mine", "batch_size": 4}
    for options in ({"distillation": "none"}, {"distillation": "hard", "compare": True}):
        with pytest.raises(ValueError, match="3 test images have no label.* pass --teacher without --compare"):
            load_run_data(resolve({**given, **options}))
    assert len(load_run_data(resolve({**given, "distillation": "hard"})).test) == 20


def test_the_unreadable_image_of_a_batch_is_named(monkeypatch):
    pytest.importorskip("PIL.Image", reason="images are read by Pillow")
    pytest.importorskip("tqdm", reason="it shows a progress bar")
    damaged = ImageRecords("mine", [*PHOTOGRAPHS.records, (b"not an image", 0)], ("a",))
    data = load_with(monkeypatch, damaged, image_size=32, batch_size=9, check_images=False, pipeline="python")
    with pytest.raises(UnreadableError, match="Images of 'mine' cannot be read: image 8 of 'mine'"):
        data.first_batch()


def test_the_batch_size_of_a_recipe_gives_way_to_a_small_dataset_and_a_given_one_is_kept(monkeypatch, capsys):
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: NOISE)
    settings = resolve({"variant": "deit_ti", "dataset": "mine", "recipe": "deit", "image_size": 8})
    data = load_run_data(settings, adapts_batch_size=True)
    assert (data.settings.batch_size, data.plan.batch_size, data.plan.num_batches) == (4, 4, 5)
    assert data.first_batch()[0].shape == (4, 8, 8, 3)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Batch size")]
    assert line == (
        "Batch size: 4 instead of 1024, because there are only 20 training images. --batch-size chooses another one."
    )
    with pytest.raises(ValueError, match="Received: batch_size=1024. Pass at most 20."):
        load_run_data(settings)
    fitting = resolve({"variant": "deit_ti", "dataset": "mine", "distillation": "none", "batch_size": 20})
    assert load_run_data(fitting, adapts_batch_size=True).settings.batch_size == 20


@pytest.mark.parametrize(
    ("num_images", "num_replicas", "expected"),
    [
        (2, 1, 2),
        (8, 1, 2),
        (31, 1, 4),
        (240, 1, 32),
        (240, 2, 32),
        (240, 3, 30),
        (1100, 1, 256),
        (16, 8, 16),
        (9, 8, 8),
        (5, 4, 4),
    ],
)
def test_a_suitable_batch_size_is_even_and_divided_by_the_replicas(num_images, num_replicas, expected):
    assert suitable_batch_size(num_images, num_replicas) == expected


WIDE = ImageData("wide", RNG.integers(0, 256, (6, 24, 40, 3), dtype="uint8"), np.arange(6) % 2, ("a", "b"))


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize(
    "options",
    [{}, {"crop_ratio": 0.8}, {"crop_scale": (0.5, 1.0), "crop_ratio": 0.875}],
    ids=["squash", "crop", "random"],
)
@pytest.mark.parametrize("data", [NOISE, WIDE], ids=["square", "wide"])
def test_the_record_prepares_images_as_the_evaluation_does(data, options, size, monkeypatch):
    """The processor of the record, on the images as they were before the run resized them."""
    pytest.importorskip("PIL.Image", reason="the pipeline resizes with Pillow")
    loaded = load_with(monkeypatch, data, image_size=size, pipeline="python", recipe="small_data", **options)
    evaluated = np.concatenate([np.asarray(batch[0]) for batch in loaded.test_batches()])
    prepared = loaded.preprocessing.processor(loaded.image_size)(data.images)
    np.testing.assert_allclose(evaluated, keras.ops.convert_to_numpy(prepared), atol=1e-5)


def test_photographs_of_several_sizes_are_prepared_as_in_the_evaluation(monkeypatch):
    photographs = pytest.importorskip("sklearn.datasets", reason="the photographs").load_sample_images().images
    images = [photographs[0], np.ascontiguousarray(photographs[1][:, :400]), photographs[1][:300, :300]]
    data = ImageRecords("photographs", [(image, 0) for image in images], ("a",))
    loaded = load_with(
        monkeypatch, data, image_size=32, pipeline="python", recipe="transfer", batch_size=2, check_images=False
    )
    evaluated = np.concatenate([np.asarray(batch[0]) for batch in loaded.test_batches()])
    prepared = [keras.ops.convert_to_numpy(loaded.preprocessing.processor(32)(image)) for image in images]
    np.testing.assert_allclose(evaluated, np.stack(prepared), atol=1e-5)


def test_the_weights_determine_the_normalisation(monkeypatch):
    loaded = load_with(monkeypatch, NOISE)
    record = dataclasses.replace(loaded.preprocessing, mean=(0.5,) * 3, std=(0.25,) * 3)
    images = np.concatenate([np.asarray(batch[0]) for batch in loaded.normalised_for(record).test_batches()])
    np.testing.assert_allclose(images, (NOISE.images / 255 - 0.5) / 0.25, atol=1e-5)
