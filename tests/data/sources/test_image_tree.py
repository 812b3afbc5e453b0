"""Which files below a folder are images."""

import os
import pathlib

import pytest

from keras_deit.data.sources.image_tree import describe_ignored, find_images, has_image, list_folder
from tests.data.images import encode, noise

pillow = pytest.importorskip("PIL.Image", reason="Pillow recognises images")
pytestmark = pytest.mark.backend_independent


def write(folder, *names, content=None):
    """Writes files below a folder, PNG images if nothing else is given."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(noise(4, 4, 3)) if content is None else content)


def found_in(folder):
    return [path.relative_to(folder).as_posix() for path in find_images(folder).images]


def test_hidden_names_and_those_of_systems_are_skipped_at_every_level(tmp_path):
    write(tmp_path, "1.png", "a/2.png", "a/b/3.png")
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN"):
        write(tmp_path, f"{name}/1.png", f"a/b/{name}/deep/1.png")
    write(tmp_path, "._1.png", "a/._2.png", ".DS_Store", "a/Thumbs.db", "a/b/desktop.ini", ".hidden.png")
    assert found_in(tmp_path) == ["1.png", "a/2.png", "a/b/3.png"]
    assert not find_images(tmp_path).ignored


def test_files_that_are_no_images_are_counted_by_their_extension(tmp_path):
    write(tmp_path, "1.png", "2.PNG")
    write(tmp_path, "a.txt", "b.TXT", "README", "c.npz", content=b"BM or P6, GIF89a, RIFF: a text")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    found = find_images(tmp_path)
    assert len(found.images) == 2
    assert found.ignored == {".txt": 2, ".npz": 1, "without an extension": 1, "broken links": 1}
    assert describe_ignored(found.ignored) == "2 .txt, 1 .npz, 1 broken links, 1 without an extension"


@pytest.mark.parametrize(
    ("file_format", "extensions"),
    [
        ("JPEG", ["jpg", "JPEG", "jfif", "jpe"]),
        ("JPEG2000", ["jp2", "j2k", "jpx"]),
        ("TGA", ["tga", "vda"]),
        ("AVIF", ["avif"]),
        ("PNG", ["png", "apng"]),
        ("ICO", ["ico"]),
        ("PCX", ["pcx"]),
        ("SGI", ["sgi"]),
        ("QOI", ["qoi"]),
        ("WEBP", ["webp"]),
        ("TIFF", ["tif", "tiff"]),
    ],
)
def test_every_extension_of_a_raster_format_of_pillow_is_one_of_images(file_format, extensions, tmp_path):
    pillow.init()
    if file_format not in pillow.SAVE:
        pytest.skip("another version of Pillow")
    write(tmp_path, *(f"1.{extension}" for extension in extensions), content=encode(noise(16, 16, 3), file_format))
    assert len(find_images(tmp_path).images) == len(extensions)


def test_images_are_recognised_by_their_content_where_the_extension_says_nothing(tmp_path):
    for file_format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        write(tmp_path, f"{file_format}", f"{file_format}.2019", content=encode(noise(16, 16, 3), file_format))
    assert len(find_images(tmp_path).images) == 14


def test_links_are_followed_and_loops_are_not(tmp_path):
    write(tmp_path, "elsewhere/1.png", "data/cat/2.png", "data/dog/3.png")
    cat = tmp_path / "data" / "cat"
    (cat / "more").symlink_to(tmp_path / "elsewhere")
    (cat / "4.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (cat / "itself").symlink_to(cat)
    (cat / "above").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere" / "back").symlink_to(cat)
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    assert found_in(cat) == ["2.png", "4.png", "more/1.png"]
    assert [folder.name for folder in list_folder(tmp_path / "data").folders] == ["cat", "dog", "linked"]
    assert found_in(tmp_path / "data" / "linked") == ["1.png", "back/2.png", "back/4.png"]


def test_a_folder_that_is_reached_twice_is_read_once(tmp_path):
    write(tmp_path, "z/1.png")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert found_in(tmp_path) == ["z/1.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, "a/locked/1.png", "a/2.png")
    scandir = os.scandir

    def refuse(folder):
        if pathlib.Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"The folder '.*locked' cannot be read: Permission denied"):
        find_images(tmp_path)


def test_a_folder_may_hold_no_image(tmp_path):
    write(tmp_path, "a/notes.txt", content=b"text")
    assert not has_image(tmp_path)
    write(tmp_path, "a/b/1.png")
    assert has_image(tmp_path)
