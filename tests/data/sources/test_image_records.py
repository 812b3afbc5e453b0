"""Labelled images of a sequence of records."""

import numpy as np
import pytest

from keras_deit.data import ImageRecords
from tests.data.images import encode, noise

pytestmark = pytest.mark.backend_independent
CLASSES = ("cat", "dog")


def test_records_are_pairs_or_dictionaries_with_other_entries():
    records = [{"image": noise(4, 4, 3), "label": 1, "file_name": "a.jpg"}, (b"content", 0), [b"other", -1]]
    data = ImageRecords("mine", records, CLASSES)
    np.testing.assert_array_equal(data[0][0], noise(4, 4, 3))
    assert data[0][1] == 1
    assert [data[index] for index in (1, 2)] == [(b"content", 0), (b"other", -1)]
    assert [label for _, label in data] == [1, 0, -1]
    assert (len(data), data.num_classes, data.labels, data.paths, data.in_memory) == (3, 2, None, None, False)
    assert data.describe(2) == "image 2 of 'mine'"


def test_an_index_may_be_an_integer_of_numpy_and_must_lie_within_the_records():
    class Records:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            assert type(index) is int  # the records of TFDS take no other integers
            return b"content", index

    data = ImageRecords("mine", Records(), CLASSES)
    assert data[np.int64(1)] == (b"content", 1)
    for index in (2, -1):
        with pytest.raises(IndexError, match=f"'mine' has 2 records. Received: index={index}"):
            data[index]


def test_a_selection_reads_the_selected_records_and_names_them_as_before():
    pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
    records = [(encode(noise(40, 40, 3, seed=index)), index % 2) for index in range(6)]
    data = ImageRecords("mine", records, CLASSES)
    selected = data.select([4, 1, 1]).select(np.array([1, 0]))
    assert list(selected) == [records[1], records[4]]
    assert (selected.name, selected.class_names, selected.labels, selected.paths) == ("mine", CLASSES, None, None)
    assert [selected.describe(index) for index in (0, 1)] == ["image 1 of 'mine'", "image 4 of 'mine'"]


def test_the_digest_changes_with_name_number_and_selection():
    data = ImageRecords("mine", [(b"", 0)] * 6, CLASSES)
    others = [
        ImageRecords("other", data.records, CLASSES),
        ImageRecords("mine", data.records[:5], CLASSES),
        data.select([0, 1, 2]),
        data.select([0, 1, 3]),
    ]
    assert len({one.content_digest() for one in (data, *others)}) == 5
    assert data.select([0, 1, 2]).content_digest() == data.select(np.arange(3)).content_digest()
