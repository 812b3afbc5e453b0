"""Batches for fit."""

import keras
import numpy as np
import pytest

from keras_deit.data import Batches, FollowEpochs, ImageData


@pytest.fixture
def numbered():
    """Ten images whose pixels are all their own number."""
    images = np.broadcast_to(np.arange(10, dtype="uint8")[:, None, None, None], (10, 4, 4, 3)).copy()
    return ImageData("numbered", images, np.arange(10) % 3, ("a", "b", "c"))


def numbers(images, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """Undoes the normalisation, in float64."""
    pixels = (np.asarray(images, "float64") * std + mean) * 255
    return np.round(pixels[:, 0, 0, 0]).astype(int).tolist()


def test_images_are_normalised_and_labels_one_hot(numbered):
    images, labels, weights = Batches(numbered, 4)[0]
    expected = (numbered.images[:4] / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(images, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, np.eye(3)[[0, 1, 2, 0]])
    np.testing.assert_array_equal(weights, np.ones(4))


def test_evaluation_sees_every_image_once_and_pads_with_weight_zero(numbered):
    batches = Batches(numbered, 4, multiple_of=4)
    assert batches.num_batches == 3
    images, weights = zip(*((images, weights) for images, _, weights in (batches[i] for i in range(3))), strict=True)
    assert [len(batch) for batch in images] == [4, 4, 4]
    kept = np.concatenate(images)[np.concatenate(weights) > 0]
    assert numbers(kept) == list(range(10))
    np.testing.assert_allclose(np.concatenate(weights), [12 / 10] * 10 + [0, 0], rtol=1e-6)
    assert len(Batches(numbered, 4)[2][0]) == 2  # one device takes the short batch as it is


def test_filling_up_changes_no_loss_and_no_accuracy(numbered):
    numbered.images[:] = np.random.default_rng(0).integers(0, 256, size=numbered.images.shape)
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, weighted_metrics=["accuracy"])
    pixels = (numbered.images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    kernel, bias = model.get_weights()
    logits = pixels.reshape(10, -1) @ kernel.astype("float64") + bias
    nats = np.log(np.exp(logits).sum(-1)) - logits[np.arange(10), numbered.labels]
    for multiple_of in (1, 4, 8):
        results = model.evaluate(Batches(numbered, 8, multiple_of=multiple_of), verbose=0, return_dict=True)
        np.testing.assert_allclose(results["loss"], nats.mean(), rtol=1e-5)
        np.testing.assert_allclose(results["accuracy"], (logits.argmax(-1) == numbered.labels).mean(), rtol=1e-6)


def test_an_epoch_of_training_draws_without_replacement_and_the_next_differs(numbered):
    batches = Batches(numbered, 3, training=True)
    first = [numbers(batches[i][0]) for i in range(batches.num_batches)]
    assert len(set(sum(first, []))) == 9  # ten images, three batches of three: one is left out
    batches.on_epoch_end()
    second = [numbers(batches[i][0]) for i in range(batches.num_batches)]
    assert first != second


def test_a_later_epoch_is_the_same_when_begun_with(numbered):
    numbered.images[:] = np.random.default_rng(0).integers(0, 256, size=numbered.images.shape)
    gone_on = Batches(numbered, 5, training=True, shift_pixels=1, seed=3)
    gone_on.on_epoch_end()
    gone_on.on_epoch_end()
    begun = Batches(numbered, 5, training=True, shift_pixels=1, seed=3, epoch=2)
    for index in (1, 0):  # in any order
        np.testing.assert_array_equal(gone_on[index][0], begun[index][0])
    assert not np.array_equal(begun[0][0], Batches(numbered, 5, training=True, shift_pixels=1, seed=4, epoch=2)[0][0])


def test_more_steps_than_batches_begin_again_in_another_order(numbered):
    batches = Batches(numbered, 5, training=True, steps=4)
    assert batches.num_batches == 4
    once, again = ([numbers(batches[i][0]) for i in pair] for pair in ((0, 1), (2, 3)))
    assert sorted(sum(once, [])) == sorted(sum(again, [])) == list(range(10))
    assert once != again


def test_fit_goes_through_the_epochs_in_order(numbered):
    seen = []

    class Spy(Batches):
        def __getitem__(self, index):
            seen.append((self.epoch, index))
            return super().__getitem__(index)

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    batches = Spy(numbered, 5, training=True)
    model.fit(batches, epochs=5, initial_epoch=2, shuffle=False, verbose=0, callbacks=[FollowEpochs(batches)])
    assert seen[-6:] == [(epoch, index) for epoch in (2, 3, 4) for index in (0, 1)]  # Keras peeks before the first


def test_a_batch_larger_than_the_dataset_is_refused(numbered):
    with pytest.raises(ValueError, match="batch of 16 images cannot be drawn from the 10"):
        Batches(numbered, 16, training=True)
