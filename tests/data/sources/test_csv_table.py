"""A CSV file of image files and their labels."""

import collections
import pathlib
import re

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


def write_table(folder, text, name="a.csv"):
    """Writes a table, and empty files for the names of image files in it."""
    content = text if isinstance(text, bytes) else text.encode()
    for file in re.findall(rb"\w+[.]jpg", content):
        (folder / file.decode()).touch()
    (folder / name).write_bytes(content)
    return folder / name


def names_of(loaded):
    return [(pathlib.Path(path).name, int(label)) for path, label in zip(loaded.paths, loaded.labels, strict=True)]


def test_a_table_may_have_splits_and_empty_labels(tmp_path):
    table = write_table(tmp_path, "split,path,label\ntrain,1.jpg,x\ntrain,2.jpg,\nval,3.jpg,y\n")
    train, test = data.load(table), data.load(table, "test")
    assert (train.labels.tolist(), test.labels.tolist(), test.class_names) == ([0, -1], [1], ("x", "y"))
    assert (train.origin, test.origin, test.notes) == ("train", "val", ())
    ordered = data.load(table, class_names=["y", "x"])
    assert (ordered.labels.tolist(), ordered.class_names) == ([1, -1], ("y", "x"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("path,label\n1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n4.jpg,dog\n", "a.CSV"),
        ("\ufeffPath;Label\r\n1.jpg;cat\r\n2.jpg;dog\r\n3.jpg;cat\r\n4.jpg;dog\r\n", "a.csv"),
        ("PATH\tlabel\n1.jpg\tcat\n2.jpg\tdog\n3.jpg\tcat\n4.jpg\tdog\n", "a.tsv"),
        (" path , label \n1.jpg, cat\n2.jpg, dog \n3.jpg,cat \n\n4.jpg,dog,\n,\n", "a.csv"),
        ("\ufeffsep=;\r\npath;label\r\n1.jpg;cat\r\n2.jpg;dog\r\n3.jpg;cat\r\n4.jpg;dog\r\n", "a.csv"),
        ('"sep=|"\npath|label|note\n1.jpg|cat|a,b\n2.jpg|dog|\n3.jpg|cat|\n4.jpg|dog|\n', "a.csv"),
        ('path,"label"\n"1.jpg","cat"\n"2.jpg","dog"\n3.jpg," cat"\n4.jpg,dog', "a.csv"),
    ],
    ids=["upper case ending", "semicolons of Excel", "tabs", "spaces", "stated", "stated in quotes", "quotes"],
)
def test_what_is_unmistakable_is_read(text, name, tmp_path):
    table = write_table(tmp_path, text, name)
    train, test = data.load(table), data.load(table, "test")
    assert train.class_names == ("cat", "dog")
    assert (names_of(train), names_of(test)) == ([("3.jpg", 0), ("4.jpg", 1)], [("1.jpg", 0), ("2.jpg", 1)])


def test_the_home_directory_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_table(tmp_path, "path,label\n~/1.jpg,cat\n~/2.jpg,dog\n~/3.jpg,cat\n~/4.jpg,dog\n")
    assert data.load("~/a.csv").paths == (str(tmp_path / "3.jpg"), str(tmp_path / "4.jpg"))


def test_paths_of_windows_are_understood(tmp_path):
    for index in range(4):
        write_table(tmp_path, f"{index}.jpg")
    table = write_table(tmp_path, "path,label\n" + "".join(f".\\{index}.jpg,{'ab'[index % 2]}\n" for index in range(4)))
    assert [pathlib.Path(path).resolve() for path in data.load(table).paths] == [tmp_path / "2.jpg", tmp_path / "3.jpg"]


def test_a_label_that_is_not_among_the_given_classes_is_an_error_with_its_line(tmp_path):
    table = write_table(tmp_path, "path,label\n1.jpg,x\n2.jpg,y\n")
    with pytest.raises(ValueError, match="line 3, column 'label': the class 'y' is not among x, z"):
        data.load(table, class_names=["x", "z"])


def test_names_of_splits_are_those_of_folders_and_val_is_the_test_split(tmp_path):
    rows = "Train,1.jpg,x\nTRAINING,2.jpg,y\nTest,3.jpg,y\nvalid,4.jpg,x\n"
    table = write_table(tmp_path, "split,path,label\n" + rows)
    train, test = data.load(table), data.load(table, "test")
    assert (names_of(train), names_of(test)) == ([("1.jpg", 0), ("2.jpg", 1)], [("4.jpg", 0)])
    unused = f"Rows of {table} that are not used: those of the split test. --test-split test uses them."
    assert train.notes == test.notes == (unused,)
    assert names_of(data.load(table, "test", test_split="test")) == [("3.jpg", 1)]


def test_rows_of_one_file_stay_together(tmp_path):
    files = [f"{name}{index}.jpg,{name}" for name in ("cat", "dog") for index in range(10)]
    table = write_table(tmp_path, "path,label\n" + "".join(f"{row}\n./{row}\n" for row in files))
    train, test = data.load(table), data.load(table, "test")
    assert (len(train), len(test)) == (32, 8)
    assert {pathlib.Path(path).stem for path in test.paths} == {"cat0", "cat5", "dog0", "dog5"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_stays_in_one_split_however_its_path_is_written(split, tmp_path):
    folder = tmp_path / "sub"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    rows = []
    for index in range(10):
        (folder / f"{index}.jpg").touch()
        (tmp_path / f"link{index}.jpg").symlink_to(folder / f"{index}.jpg")
        paths = (f"sub/{index}.jpg", f"sub/../sub/{index}.jpg", folder / f"{index}.jpg", f"link/{index}.jpg")
        rows += [f"{path},{'ab'[index % 2]}\n" for path in (*paths, f"link{index}.jpg")]
    order = np.random.default_rng(3).permutation(len(rows))
    (tmp_path / "a.csv").write_text("path,label\n" + "".join(rows[index] for index in order))
    loaded = data.load(tmp_path / "a.csv", split)
    files = collections.Counter(pathlib.Path(path).resolve() for path in loaded.paths)
    assert set(files.values()) == {5}
    assert len(files) == {"train": 8, "test": 2}[split]


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path):
    table = write_table(tmp_path, "path,label\n" + "".join(f"{i}a.jpg,{i}\n{i}b.jpg,{i}\n" for i in range(12)))
    train = data.load(table)
    assert train.class_names == tuple(map(str, range(12)))
    assert names_of(train) == [(f"{index}b.jpg", index) for index in range(12)]
    assert "label 11 is class 11" in train.notes[0]


@pytest.mark.parametrize(
    ("labels", "class_names", "expected"),
    [
        ([f"{index}.0" for index in range(12)], None, tuple(map(str, range(12)))),
        (["0", "1.0", "1", "-1.00"], None, ("-1", "0", "1")),
        (["1.0", "1.5", "2.0"], None, ("1.0", "1.5", "2.0")),
        (["1.0", "v2", "2.0"], None, ("1.0", "2.0", "v2")),
        (["1.0", "2.0"], ["2.0", "1.0"], ("2.0", "1.0")),
        (["1.0", "2.0"], ["2", "1"], ("2", "1")),
    ],
)
def test_whole_numbers_that_pandas_writes_as_floats_are_integers(labels, class_names, expected, tmp_path):
    files = [f"{index}{copy}.jpg,{label}\n" for index, label in enumerate(labels) for copy in "ab"]
    table = write_table(tmp_path, "path,label\n" + "".join(files) + "u.jpg,\n")
    parts = [data.load(table, split, class_names=class_names) for split in ("train", "test")]
    assert parts[0].class_names == expected
    for path, label in (row for part in parts for row in names_of(part) if row[0] != "u.jpg"):
        assert float(expected[label]) == float(labels[int(path[:-5])]) if expected[label] != "v2" else path[0] == "1"


def test_several_spellings_of_a_number_are_warned_of(tmp_path):
    rows = "".join(f"{index}.jpg,{('1', '1.0', '2', '01')[index % 4]}\n" for index in range(12))
    with pytest.warns(UserWarning, match="differ only in case, spaces, .*'01', '1'. Give them one name"):
        assert data.load(write_table(tmp_path, "path,label\n" + rows)).class_names == ("01", "1", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\n1.jpg,x\n", "has no column 'label'. Expected the columns path, label. Received: path, class"),
        ("", "has no column 'path'.*Received: no names"),
        ("path,label,Path\n1.jpg,x,1.jpg\n", "has two columns 'path'"),
        ("split,path,label\ndev,1.jpg,x\n", "line 2, column 'split': expected train, val or test. Received: 'dev'"),
        ("split,path,label\ntrain,1.jpg,x\n,2.jpg,x\n", "line 3, column 'split': expected train.*Received: ''"),
        ("path,label\n1.jpg,x\n,y\n", "line 3, column 'path': the path is empty"),
        ("path,label\n1.jpg,cat, striped\n", r"line 2: expected 2 values.*Received: 3.*double quotes"),
        ('path,label\n1.jpg,x\n2.jpg,"cat\n3.jpg,x"\n', "line 3, column 'label': the quotation that begins with 'cat'"),
        ('path,label\n1.jpg,"cat \n', "line 2, column 'label': the quotation .* does not end in its line"),
        ('path,label\r\n1.jpg,"cat', "line 2, column 'label': the quotation that begins with 'cat'"),
        ('path,label,note\n1.jpg,x,"a\n2.jpg,x,b\n3.jpg,y,c"\n', "line 2, column 'note': the quotation"),
        ('path,label,"note\n1.jpg,x,"\n', "line 1: the quotation that begins with 'note'"),
        ('path,label\n1.jpg,x\n2.jpg,"' + 9999 * "x\n3.jpg,cat,more\n", "line 3, column 'label': the quotation"),
        ("sep=;\n", "has no column 'path'.*Received: no names"),
        ("sep=;\npath,label\n1.jpg,x\n", "has no column 'path'.*Received: path,label"),
        ("sep=;\npath;label\n1.jpg;x\n2.jpg;nan\n", "line 4, column 'label': 'nan' stands for"),
        ("path,label\n1.jpg,x\n2.jpg\n", "line 3: expected 2 values, as in the line of the names. Received: 1"),
        ("path,label\n1.jpg,x\n2.jpg,nan\n", "line 3, column 'label': 'nan' stands for a missing value"),
        ("path,label\n1.jpg,x\n9.png,y\n", r"line 3, column 'path': there is no file '.*9\.png'.*1 of the 2 files"),
        ("path,label\n1.jpg,caf\u00e9\n".encode("latin-1"), "not in UTF-8: line 2, byte 10 of the line is 0xe9"),
        ("path,label\n1.jpg,x\n".encode("utf-16"), "not in UTF-8: line 1, byte 1 of the line is 0xff"),
        ("split,path,label\nval,1.jpg,x\n", "lists no image for the train split"),
        ("path,label\n", "lists no image for the train split"),
        ("path,label\n1.jpg,x\n2.jpg,x\n", "needs at least two classes. 'a.csv' has x"),
        ("path,label\n1.jpg,x\n2.jpg,x\n3.jpg,y\n", "no image left for the train split of the classes y"),
    ],
)
def test_other_tables_are_refused_and_the_error_names_the_place(text, message, tmp_path):
    with pytest.raises(ValueError, match=message) as raised:
        data.load(write_table(tmp_path, text))
    assert "a.csv" in str(raised.value)


def test_a_class_called_nan_is_one_if_it_is_named(tmp_path):
    table = write_table(tmp_path, "split,path,label\ntrain,1.jpg,nan\ntrain,2.jpg,pita\ntest,3.jpg,nan\n")
    assert data.load(table, class_names=["nan", "pita"]).labels.tolist() == [0, 1]


def test_a_split_is_chosen_only_where_there_are_splits(tmp_path):
    with pytest.raises(ValueError, match="has no column 'split'. Received: test_split='val'"):
        data.load(write_table(tmp_path, "path,label\n1.jpg,x\n2.jpg,y\n"), test_split="val")
