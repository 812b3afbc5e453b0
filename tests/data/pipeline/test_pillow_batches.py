"""Batches by NumPy and Pillow."""

import concurrent.futures
import itertools
import time
from multiprocessing import shared_memory

import keras
import numpy as np
import pytest

from keras_deit.data import Augmentation, ImageData, ImageRecords
from keras_deit.data.augment.pillow_transform import ImageTransform
from keras_deit.data.pipeline.pillow_batches import EvaluationBatches, TrainingBatches, one_hot
from keras_deit.data.pipeline.sampling_plan import EvaluationPlan, SamplingPlan
from tests.data.pipeline.first_batches import assert_equal

backend_independent = pytest.mark.backend_independent
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
TRANSFORM = ImageTransform((4, 4), MEAN, STD, crop_ratio=1.0)
NORMALISATION = dict(mean=MEAN, std=STD, crop_ratio=1.0)
AUGMENTATION = Augmentation(crop_scale=(0.5, 1.0), flip=0.5, color_jitter=0.3, erasing=0.5, mixup=0.8)


@pytest.fixture
def numbered():
    """Ten images whose pixels all equal the index of the image."""
    images = np.broadcast_to(np.arange(10, dtype="uint8")[:, None, None, None], (10, 4, 4, 3)).copy()
    return ImageData("numbered", images, np.arange(10) % 3, ("a", "b", "c"))


@pytest.fixture
def noise(numbered):
    """Ten images of random pixels."""
    numbered.images[:] = np.random.default_rng(0).integers(0, 256, size=numbered.images.shape)
    return numbered


def training(data, batch_size, seed=0, steps=None, augmentation=None):
    plan = SamplingPlan(len(data), batch_size, (4, 4), augmentation or Augmentation(), seed, steps)
    return TrainingBatches(data, plan, **NORMALISATION)


def evaluation(data, batch_size, multiple_of=1):
    return EvaluationBatches(data, EvaluationPlan(len(data), batch_size, (4, 4), multiple_of), **NORMALISATION)


def indices_of(images):
    """The indices of numbered images: their pixels, after the normalisation is undone in float64."""
    pixels = (np.asarray(images, "float64") * STD + MEAN) * 255
    return np.round(pixels[:, 0, 0, 0]).astype(int).tolist()


def indices_of_epoch(batches, epoch):
    return [indices_of(batches.batch(epoch, index)[0]) for index in range(batches.plan.num_batches)]


@backend_independent
def test_images_are_normalised_and_labels_one_hot(numbered):
    images, labels, weights = evaluation(numbered, 4)[0]
    np.testing.assert_allclose(images, (numbered.images[:4] / 255 - MEAN) / STD, atol=1e-6)
    np.testing.assert_array_equal(labels, np.eye(3)[[0, 1, 2, 0]])
    np.testing.assert_array_equal(weights, np.ones(4))
    assert one_hot([2, -1], 3).tolist() == [[0, 0, 1], [0, 0, 0]]  # an unlabelled image has a row of zeros


@backend_independent
def test_evaluation_has_every_image_once_and_padding_has_weight_zero(numbered):
    batches = evaluation(numbered, 4, multiple_of=4)
    assert batches.num_batches == 3
    images, weights = zip(*((images, weights) for images, _, weights in (batches[i] for i in range(3))), strict=True)
    assert [len(batch) for batch in images] == [4, 4, 4]
    kept = np.concatenate(images)[np.concatenate(weights) > 0]
    assert indices_of(kept) == list(range(10))
    np.testing.assert_allclose(np.concatenate(weights), [12 / 10] * 10 + [0, 0], rtol=1e-6)
    assert len(evaluation(numbered, 4)[2][0]) == 2  # without replicas the last batch may be short


def test_padding_changes_no_loss_and_no_accuracy(noise):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, weighted_metrics=["accuracy"])
    kernel, bias = model.get_weights()
    logits = ((noise.images / 255 - MEAN) / STD).reshape(10, -1) @ kernel.astype("float64") + bias
    nats = np.log(np.exp(logits).sum(-1)) - logits[np.arange(10), noise.labels]
    for multiple_of in (1, 4, 8):
        results = model.evaluate(evaluation(noise, 8, multiple_of), verbose=0, return_dict=True)
        np.testing.assert_allclose(results["loss"], nats.mean(), rtol=1e-5)
        np.testing.assert_allclose(results["accuracy"], (logits.argmax(-1) == noise.labels).mean(), rtol=1e-6)


@backend_independent
def test_an_epoch_draws_without_replacement_and_the_next_has_another_order(numbered):
    batches = training(numbered, 3)
    first = indices_of_epoch(batches, 0)
    assert len(set(sum(first, []))) == 9  # ten images, three batches of three: one is left out
    assert first != indices_of_epoch(batches, 1)


@backend_independent
@pytest.mark.parametrize("augmentation", [Augmentation(), AUGMENTATION], ids=["unchanged", "augmented"])
def test_a_batch_is_a_pure_function_of_epoch_and_index(augmentation, noise):
    batches = training(noise, 4, seed=3, augmentation=augmentation)
    positions = list(itertools.product(range(3), range(2)))
    in_order = {position: batches.batch(*position) for position in positions}
    for position in (*reversed(positions), *positions):  # in another order, twice
        assert_equal(training(noise, 4, seed=3, augmentation=augmentation).batch(*position), in_order[position])
        assert_equal(batches.batch(*position), in_order[position])
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for position, batch in zip(
            positions * 4, threads.map(lambda key: batches.batch(*key), positions * 4), strict=True
        ):
            assert_equal(batch, in_order[position])
    images = [images.tobytes() for images, _ in in_order.values()]
    assert len(set(images)) == len(positions)  # no two of them are equal
    assert not np.array_equal(training(noise, 4, seed=4, augmentation=augmentation).batch(2, 0)[0], in_order[2, 0][0])
    assert noise.images.tobytes() == np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3)).astype("uint8").tobytes()


@backend_independent
def test_more_steps_than_batches_use_the_images_again_in_another_order(numbered):
    batches = training(numbered, 5, steps=4)
    assert batches.plan.num_batches == 4
    once, again = ([indices_of(batches.batch(0, i)[0]) for i in pair] for pair in ((0, 1), (2, 3)))
    assert sorted(sum(once, [])) == sorted(sum(again, [])) == list(range(10))
    assert once != again


@pytest.fixture
def unreadable(numbered):
    """Ten images, of which image 7 cannot be read."""
    records = [(b"not an image" if index == 7 else image, label) for index, (image, label) in enumerate(numbered)]
    return ImageRecords("mine", records, numbered.class_names)


@backend_independent
def test_an_unreadable_image_is_named(unreadable):
    message = "image 7 of 'mine': .*cannot be read.*`keras-deit validate-data` lists all"
    with pytest.raises(ValueError, match=message):
        evaluation(unreadable, 10)[0]
    with pytest.raises(ValueError, match=message):
        training(unreadable, 10).batch(0, 0)


@backend_independent
def test_an_unreadable_image_leaves_no_shared_memory_behind(unreadable):
    grain = pytest.importorskip("grain", reason="Grain allocates the shared memory")
    names = []

    def empty(shape, dtype):
        array = grain.multiprocessing.SharedMemoryArray(shape, dtype)
        names.append(array.metadata.name)
        return array

    with pytest.raises(ValueError, match="cannot be read"):
        training(unreadable, 10).batch(0, 0, empty)
    deadline = time.monotonic() + 10  # Grain may free the memory in a thread
    while exists(names[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not exists(names[0])


def exists(name):
    """Whether a block of shared memory exists."""
    try:
        shared_memory.SharedMemory(name).close()
    except FileNotFoundError:
        return False
    return True
