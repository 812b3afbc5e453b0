import functools

import keras
import numpy as np
import pytest

from keras_deit.runtime.first_batch import FirstBatchCheck

IMAGES = np.arange(8, dtype="float32").reshape(8, 1)
LABELS = np.zeros((8, 1), "float32")


def refuse_above(limit, images):
    if np.asarray(images).max() > limit:
        raise ValueError(f"more than {limit}")


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 4

    def __getitem__(self, index):
        return IMAGES[2 * index : 2 * index + 2], LABELS[2 * index : 2 * index + 2]


def tf_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(2)


def data_loader():
    torch = pytest.importorskip("torch")
    examples = torch.utils.data.TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))
    return torch.utils.data.DataLoader(examples, batch_size=2)


def grain_dataset():
    grain = pytest.importorskip("grain")
    return grain.MapDataset.source(list(zip(IMAGES, LABELS, strict=True))).batch(2)


KINDS = {
    "PyDataset": Batches,
    "generator": lambda: (Batches()[index] for index in range(4)),
    "tf.data": tf_dataset,
    "DataLoader": data_loader,
    "grain": grain_dataset,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_batches_stay_and_the_first_one_is_checked(make):
    """A limit below the second batch and above the first shows that no other batch is looked at."""
    with FirstBatchCheck(functools.partial(refuse_above, 1.5)) as first:
        batches = [np.asarray(images) for images, _ in first.of(make())]
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_refused_first_batch_stops_fit_with_the_error_of_the_check(make):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with (
        pytest.raises(ValueError, match="^more than 0.5$"),
        FirstBatchCheck(functools.partial(refuse_above, 0.5)) as first,
    ):
        model.fit(first.of(make()), verbose=0)


def test_arrays_are_checked_at_once_and_returned():
    first = FirstBatchCheck(functools.partial(refuse_above, 3))
    with pytest.raises(ValueError, match="more than 3"):
        first.of(IMAGES)
    assert first.of(IMAGES[:2]) is not None
    assert first.of(None) is None


def test_length_of_a_dataset_stays():
    assert int(FirstBatchCheck(print).of(tf_dataset()).cardinality()) == 4
