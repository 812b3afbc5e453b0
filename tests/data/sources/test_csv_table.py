"""A CSV file of image files and their labels."""

import numpy as np
import pytest

from keras_deit import data
from tests.data.images import write_folder

pytestmark = pytest.mark.backend_independent


def test_a_table_and_a_folder_of_the_same_files_are_divided_alike(tmp_path):
    write_folder(tmp_path / "pets", 10, dog=10, cat=100)
    folder = [data.load(tmp_path / "pets", split) for split in ("train", "test")]
    lines = [f"pets/{name}/{index:02d}.png,{name}" for name in ("cat", "dog") for index in range(10)]
    (tmp_path / "pets.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    for split, expected in zip(("train", "test"), folder, strict=True):
        received = data.load(tmp_path / "pets.csv", split)
        assert (received.paths, received.class_names) == (expected.paths, expected.class_names)
        np.testing.assert_array_equal(received.labels, expected.labels)


def test_a_table_may_have_splits_and_empty_labels(tmp_path):
    (tmp_path / "a.csv").write_text("split,path,label\ntrain,1.jpg,x\ntrain,2.jpg,\nval,3.jpg,y\n")
    train, test = data.load(tmp_path / "a.csv"), data.load(tmp_path / "a.csv", "test")
    assert (train.labels.tolist(), test.labels.tolist(), test.class_names) == ([0, -1], [1], ("x", "y"))
    ordered = data.load(tmp_path / "a.csv", class_names=["y", "x"])
    assert (ordered.labels.tolist(), ordered.class_names) == ([1, -1], ("y", "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\n1.jpg,x\n", "has no column 'label'. Expected the columns path, label"),
        ("split,path,label\ndev,1.jpg,x\n", "has the split 'dev'. Known splits: train, test"),
        ("split,path,label\nval,1.jpg,x\n", "lists no image for the train split"),
        ("path,label\n", "lists no image for the train split"),
    ],
)
def test_other_tables_are_refused(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path / "a.csv")
