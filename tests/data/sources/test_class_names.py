"""Names of classes, as people's editors and file systems write them."""

import unicodedata

import pytest

from keras_deit.data import load
from keras_deit.data.sources.class_names import read_class_names
from tests.data.images import encode, noise

pytestmark = pytest.mark.backend_independent
NAMES = ("café", "dog", "tabby cat")


@pytest.mark.parametrize(
    "content",
    [
        "café\ndog\ntabby cat".encode(),
        "café\ndog\ntabby cat\n\n \n".encode(),
        "café\r\ndog \r\ntabby cat\r\n".encode(),
        "\ufeffcafé\ndog\ntabby cat\n".encode(),
        "café\ndog\ntabby cat\n".encode("utf-16"),
        unicodedata.normalize("NFD", "café\ndog\ntabby cat\n").encode(),
    ],
    ids=["plain", "empty lines at the end", "windows", "byte order mark", "utf-16", "decomposed"],
)
def test_files_of_class_names_are_read(content, tmp_path):
    (tmp_path / "names.txt").write_bytes(content)
    assert read_class_names(tmp_path / "names.txt") == NAMES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog\ncafé\n".encode("latin-1"), r"not in UTF-8: line 2 is b'caf\\xe9'. Save the file as UTF-8"),
        (b"dog\n\ncat\n", "Line 2 of .* is empty"),
        (b"dog\ncat\ndog\n", "Lines 1 and 3 of .* have the same class name 'dog'"),
        ("café\ncafe\u0301\n".encode(), "Lines 1 and 2 of .* have the same class name 'café'"),
        (b"\n", "is empty. Expected one class name on each line"),
        (b'{\n "cat": 0,\n "dog": 1\n}\n', "is JSON. Expected plain text"),
        (b'["cat", "dog"]', "is JSON. Expected plain text"),
    ],
)
def test_other_files_are_refused_with_the_line(content, message, tmp_path):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_class_names(tmp_path / "names.txt")
    with pytest.raises(ValueError, match="cannot be read"):
        read_class_names(tmp_path / "missing.txt")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_and_names_may_be_written_in_different_ways(form, tmp_path):
    for name in ("café", "dog"):
        folder = tmp_path / unicodedata.normalize(form, name)
        folder.mkdir()
        for index in range(3):
            (folder / f"{index}.png").write_bytes(encode(noise(8, 8, 3)))
    (tmp_path / "names.txt").write_text("dog\ncafe\u0301\n", encoding="utf-8")
    data = load(tmp_path, class_names=read_class_names(tmp_path / "names.txt"))
    assert data.class_names == ("dog", "café")
    assert data.labels.tolist() == [1, 1, 0, 0]
