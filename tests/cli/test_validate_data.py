"""The command that finds unreadable images."""

import numpy as np
import pytest

from keras_deit.choices import FATAL_ISSUES, IMAGE_ISSUES
from keras_deit.cli import main, validate_data
from keras_deit.data.sources.image_issues import read_report
from tests.data.images import noise
from tests.image_folders import write_images

pytest.importorskip("PIL.Image", reason="images are read by Pillow")
pytest.importorskip("tqdm", reason="it shows a progress bar")
pytestmark = pytest.mark.backend_independent


def test_every_image_with_an_issue_is_reported(issues_folder, tmp_path, capsys):
    folder, bad = issues_folder
    assert main(["validate-data", str(folder), "--output", str(tmp_path / "report.json")]) == 1
    printed = capsys.readouterr().out
    for issue in FATAL_ISSUES:
        assert f"  excluded, {issue}: {bad[issue]}" in printed
    for issue in ("tiny", "wrong-extension", "cmyk", "alpha-only", "animated"):
        assert f"  used, {issue}: 1 image ({IMAGE_ISSUES[issue]}), for example {bad[issue]}\n" in printed
    assert f"for example {bad['unused-bits']} (values up to 4095 of 65535)" in printed
    assert printed.count("Training excludes images that are unreadable or truncated, and uses images with other") == 1
    assert "1 images of 'light' hold 16 bits, use 12 or fewer, and come out almost black. If 12 bits are" in printed
    assert "1 images of 'light' have a single colour, because their pixels differ only in transparency" in printed
    report = read_report(tmp_path / "report.json")
    with_both = {"unused-bits": ["16-bit", "unused-bits"]}
    assert report.problems == {str(path): with_both.get(issue, [issue]) for issue, path in bad.items()}
    assert main(["validate-data", str(folder), "--bit-depth", "12"]) == 1
    assert "unused-bits" not in capsys.readouterr().out
    assert report.checked == 200


def test_excluded_images_are_printed_first_and_issues_of_used_images_are_counted(tmp_path, monkeypatch, capsys):
    pillow = pytest.importorskip("PIL.Image", reason="images are written by Pillow")
    monkeypatch.setattr(validate_data, "MAX_LISTED", 2)
    folder = tmp_path / "small"
    paths = write_images(folder / "train", 4) + write_images(folder / "test", 1200)
    for path, pixels in zip(paths[4:], noise(1200, 28, 28, 3), strict=True):
        pillow.fromarray(pixels).save(path)
    for path in paths[7:10]:
        path.write_bytes(f"not an image: {path}".encode())
    assert main(["validate-data", str(folder)]) == 1
    bad, tiny = sorted(map(str, paths[7:10])), str(folder / "test" / "bright" / "001.jpg")
    assert capsys.readouterr().out.splitlines() == [
        "small (train): 4 images of 2 classes; no issues",
        "small (test): 1,200 images of 2 classes; 3 excluded",
        f"  excluded, unreadable: {bad[0]}",
        f"  excluded, unreadable: {bad[1]}",
        "  and 1 more; --output FILE.json lists all",
        f"  used, tiny: 1,197 images (height or width is less than 32 pixels), for example {tiny}",
        "Training excludes images that are unreadable or truncated, and uses images with other issues, unless --skip-images "
        "names the issue.",
        "small: 2 classes, 4 train, 1,197 test, from train/ and test/",
        "  class   train  test",
        "  bright      2   598",
        "  dark        2   599",
    ]


def test_a_sound_dataset_has_no_issues(tmp_path, capsys):
    write_images(tmp_path / "light", 10)
    (tmp_path / "light" / "dark" / "notes.txt").touch()
    assert main(["validate-data", str(tmp_path / "light"), "--split", "train"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "light (train): 8 images of 2 classes; no issues",
        "light: 2 classes, 8 train",
        "  class   train",
        "  bright      4",
        "  dark        4",
        f"Ignored files of {tmp_path / 'light'}: 1 .txt.",
    ]


def test_the_images_of_each_class_are_counted_in_the_splits_that_were_recognised(tmp_path, capsys):
    write_images(tmp_path / "Training", 12)
    write_images(tmp_path / "Testing", 6)
    (tmp_path / "Training" / "none").mkdir()
    assert main(["validate-data", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2:6] == [
        f"{tmp_path.name}: 2 classes, 12 train, 6 test, from Training/ and Testing/",
        "  class   train  test",
        "  bright      6     3",
        "  dark        6     3",
    ]
    assert printed.err.count(f"Folders of {tmp_path} without images are no classes: none.") == 1


def test_equal_images_are_listed_and_reported(tmp_path, monkeypatch, capsys):
    for folder in ("train", "test"):
        write_images(tmp_path / folder, 4)  # the same images
    assert main(["validate-data", str(tmp_path), "--output", str(tmp_path / "report.json")]) == 0
    first = [tmp_path / folder / "bright" / "001.jpg" for folder in ("train", "test")]
    printed = capsys.readouterr().out
    assert f"equal: {first[0]} (train, bright), {first[1]} (test, bright)" in printed.splitlines()
    assert "4 of the 4 test images equal training images" in printed
    assert list(map(str, first)) in read_report(tmp_path / "report.json").equal
    monkeypatch.setattr(validate_data, "MAX_LISTED", 1)
    main(["validate-data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("equal: ") == 1
    assert "and 3 more groups of equal images; --output FILE.json lists all" in printed.splitlines()


def test_the_folders_of_the_splits_may_be_named(tmp_path, capsys):
    for folder, number in (("one", 6), ("two", 4)):
        write_images(tmp_path / folder, number)
    options = ["--train-folder", "one", "--test-folder", "two"]
    assert main(["validate-data", str(tmp_path), *options]) == 0
    assert "2 classes, 6 train, 4 test, from one/ and two/" in capsys.readouterr().out


def test_arrays_are_checked_too(tmp_path, capsys):
    images, labels = np.zeros((10, 28, 28), "uint8"), np.arange(10) % 2
    np.savez(tmp_path / "grey.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    assert main(["validate-data", str(tmp_path / "grey.npz"), "--split", "test"]) == 0
    printed = capsys.readouterr().out
    assert "grey.npz (test): 4 images of 2 classes; 0 excluded" in printed
    assert "used, tiny: 4 images (height or width is less than 32 pixels), for example image 0\n" in printed


def test_a_missing_dataset_is_an_error(capsys):
    assert main(["validate-data", "no/such/folder"]) == 2
    assert "There is no dataset at 'no/such/folder'" in capsys.readouterr().err


def test_a_class_with_test_images_alone_is_an_error(tmp_path, capsys):
    pixels = noise(8, 40, 40)
    np.savez(tmp_path / "a.npz", x_train=pixels[:4], y_train=[0, 0, 1, 1], x_test=pixels[4:], y_test=[0, 1, 2, 2])
    assert main(["validate-data", str(tmp_path / "a.npz")]) == 2
    printed = capsys.readouterr()
    assert [line.split() for line in printed.out.splitlines()[-3:]] == [
        ["0", "2", "1"],
        ["1", "2", "1"],
        ["2", "0", "2"],
    ]
    assert "The classes 2 of 'a.npz' have test images and no training images" in printed.err


@pytest.mark.parametrize("option", [["--num-workers", "-1"], ["--output", "."]])
def test_options_are_checked_before_the_images_are_read(option, tmp_path, capsys):
    write_images(tmp_path / "light", 10)
    assert main(["validate-data", str(tmp_path / "light"), *option]) == 2
    captured = capsys.readouterr()
    assert f"{option[0]} must be" in captured.err
    assert "images of 2 classes" not in captured.out
