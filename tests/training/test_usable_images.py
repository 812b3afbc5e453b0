"""Loading the images of a run without the unusable images."""

import dataclasses
import io
import pathlib
import warnings

import numpy as np
import pytest

from keras_deit.choices import FATAL_ISSUES
from keras_deit.cli import main
from keras_deit.data import ImageData, ImageRecords, load
from keras_deit.data.sources.image_files import ImageFiles
from keras_deit.data.sources.image_issues import ValidationReport
from keras_deit.imaging.image_files import MAX_PIXELS_VARIABLE
from keras_deit.training import usable_images
from keras_deit.training.resolve import resolve
from keras_deit.training.usable_images import (
    UnreadableError,
    explain_unreadable_images,
    load_images,
    warn_of_equal_images,
)
from tests.image_folders import write_images

pillow = pytest.importorskip("PIL.Image", reason="images are read by Pillow")
pytest.importorskip("tqdm", reason="it shows a progress bar")
pytestmark = pytest.mark.backend_independent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A directory of its own for the reports that are kept between runs."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def settings_of(dataset, **settings):
    return resolve({"variant": "deit_ti", "dataset": str(dataset), **settings})


def jpeg(side=48, value=0):
    content = io.BytesIO()
    pillow.fromarray(np.full((side, side, 3), value, "uint8")).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def records(monkeypatch):
    """Twenty records, of which the fourth is damaged, the sixth is tiny and the eighth has no label."""
    examples = [{"image": jpeg(value=10 * index), "label": index % 2} for index in range(20)]
    examples[3]["image"] = b"not an image"
    examples[5]["image"] = jpeg(side=9)
    examples[7]["label"] = -1
    data = ImageRecords("mine:1.0.0", examples, ("cat", "dog"), identity="mine:1.0.0 train")
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    return data


def test_damaged_records_are_left_out_named_and_counted(records, capsys):
    loaded = load_images(settings_of("mine", max_skipped=0.1), "train")
    assert loaded.skipped == {"images": 1, "unreadable": 1}
    assert loaded.num_unlabelled == 1
    assert loaded.class_counts.tolist() == [10, 8, 1]
    assert capsys.readouterr().out.splitlines() == [
        "1 of the 20 images of 'mine:1.0.0' (train) are left out:",
        "  image 3 of 'mine:1.0.0': unreadable",
    ]
    assert len(loaded.data) == 19
    assert loaded.data[3] == records[4]
    assert loaded.data.describe(3) == "image 4 of 'mine:1.0.0'"


def test_records_with_other_issues_are_left_out_on_request(records, capsys):
    loaded = load_images(settings_of("mine", max_skipped=0.1, skip_images=("tiny",)), "train")
    assert loaded.skipped == {"images": 2, "unreadable": 1, "tiny": 1}
    assert loaded.class_counts.tolist() == [10, 7, 1]  # one of class 1 is damaged, one is tiny, one has no label
    assert "  image 5 of 'mine:1.0.0': tiny" in capsys.readouterr().out.splitlines()
    assert [loaded.data[index] for index in range(18)] == [records[index] for index in range(20) if index not in (3, 5)]


def test_too_many_damaged_records_are_refused(records):
    with pytest.raises(ValueError, match=r"1 of the 20 images of 'mine:1\.0\.0' \(train\) cannot be used.*0\.01:"):
        load_images(settings_of("mine", max_skipped=0.01), "train")


def test_records_are_read_once_if_their_identity_is_known(records, home, monkeypatch):
    first = load_images(settings_of("mine"), "train")
    assert len(list((home / "keras_deit" / "validated").iterdir())) == 1
    monkeypatch.setattr(usable_images, "validate", None)  # nothing may be read again
    again = load_images(settings_of("mine"), "train")
    assert (again.skipped, again.num_unlabelled) == (first.skipped, first.num_unlabelled)


def test_a_damaged_kept_report_is_made_again(records, home):
    first = load_images(settings_of("mine"), "train")
    (kept,) = (home / "keras_deit" / "validated").iterdir()
    kept.write_text('{"dataset": "mine", "checked": 20, "problems": {"3": ["odd"]}}')
    again = load_images(settings_of("mine"), "train")
    assert (again.skipped, again.num_unlabelled) == (first.skipped, first.num_unlabelled)


def test_a_record_that_is_left_out_does_not_count_as_unlabelled(monkeypatch, home):
    data = ImageRecords("mine", [(jpeg(), 0), (b"", -1), (jpeg(), 1), (jpeg(), -1)], ("cat", "dog"))
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    loaded = load_images(settings_of("mine", max_skipped=0.5), "train")
    assert (len(loaded.data), loaded.num_unlabelled) == (3, 1)


def test_records_of_unknown_identity_are_read_by_every_run(monkeypatch, home):
    data = ImageRecords("mine", [(jpeg(), 0), (jpeg(), 1)], ("cat", "dog"))
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    assert load_images(settings_of("mine"), "train").skipped == {"images": 0}
    assert not home.exists()


def test_unchecked_records_are_not_read(records, monkeypatch):
    monkeypatch.setattr(usable_images, "validate", None)
    loaded = load_images(settings_of("mine", check_images=False), "train")
    assert (len(loaded.data), loaded.skipped, loaded.num_unlabelled) == (20, {"images": 0}, None)


def test_a_label_that_is_no_class_is_refused(monkeypatch):
    data = ImageRecords("mine", [(jpeg(), 0), (jpeg(), 2)], ("cat", "dog"))
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    with pytest.raises(ValueError, match="labels of 'mine' must be from 0 to 1"):
        load_images(settings_of("mine"), "train")


def test_arrays_are_not_checked_and_their_unlabelled_images_are_counted(monkeypatch):
    data = ImageData("noise", np.zeros((3, 8, 8, 3), "uint8"), np.array([0, -1, -1]), ("a",))
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    loaded = load_images(settings_of("noise"), "train")
    assert (loaded.data, loaded.skipped, loaded.num_unlabelled) == (data, {"images": 0}, 2)


@pytest.mark.parametrize("kind", ["arrays", "records"])
def test_a_report_is_for_image_files(kind, monkeypatch):
    data = {
        "arrays": ImageData("mine", np.zeros((1, 8, 8, 3), "uint8"), np.array([0]), ("a",)),
        "records": ImageRecords("mine", [(jpeg(), 0)], ("a",)),  # the records of all splits have the same numbers
    }[kind]
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    with pytest.raises(ValueError, match="`validated` is for datasets of image files.*'mine'"):
        load_images(settings_of("mine", validated="report.json"), "train")


def test_a_report_serves_by_another_spelling_of_the_folder(issues_folder, tmp_path, monkeypatch):
    folder, bad = issues_folder
    monkeypatch.chdir(folder.parent)
    assert main(["validate-data", folder.name, "--output", str(tmp_path / "report.json")]) == 1
    settings = settings_of(folder, validated=str(tmp_path / "report.json"))
    skipped = [load_images(settings, split).skipped["images"] for split in ("train", "test")]
    assert sum(skipped) == len(FATAL_ISSUES)
    for path in bad.values():
        assert path.exists()
    (tmp_path / "report.json").write_text('{"dataset": "light", "checked": 1, "problems": {"/gone/1.jpg": ["tiny"]}}')
    with pytest.raises(ValueError, match="names image files that do not exist"):
        load_images(settings, "train")
    ValidationReport("dark", 1, {}).write(tmp_path / "report.json")
    with pytest.raises(ValueError, match="is about the dataset 'dark'.*'light'"):
        load_images(settings, "train")


def test_image_files_are_read_again_only_if_they_have_changed(tmp_path, monkeypatch):
    paths, settings = write_images(tmp_path / "light", 10), settings_of(tmp_path / "light", max_skipped=0.5)
    assert load_images(settings, "train").skipped == {"images": 0}
    with monkeypatch.context() as patch:
        patch.setattr(usable_images, "validate", None)
        assert load_images(settings, "train").skipped == {"images": 0}
    paths[2].write_bytes(b"not an image")
    assert load_images(settings, "train").skipped == {"images": 1, "unreadable": 1}


def test_images_are_read_again_if_pillow_reads_others(tmp_path, monkeypatch):
    write_images(tmp_path / "light", 10)
    settings = settings_of(tmp_path / "light", max_skipped=1)
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 50)
    assert load_images(settings_of(tmp_path / "light", max_skipped=1), "train").skipped["unreadable"] > 0
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "10000")
    assert load_images(settings, "train").skipped == {"images": 0}
    read = []
    monkeypatch.setattr(
        usable_images, "validate", lambda data: read.append(data) or ValidationReport(data.name, 10, {})
    )
    monkeypatch.setattr("PIL.__version__", "99.0")  # a version may read further formats
    for _ in range(2):
        load_images(settings, "train")
    assert len(read) == 1


def test_a_home_that_is_not_writable_does_not_stop_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))  # no directory can be made in a file
    write_images(tmp_path / "light", 10)
    assert load_images(settings_of(tmp_path / "light"), "train").skipped == {"images": 0}


def test_an_error_names_the_unreadable_images(records):
    suspects = [(records, [4]), (records.select([4, 3]), None)]
    message = r"'mine:1\.0\.0' cannot be read: image 3 of .*RuntimeError: step 7"
    with pytest.raises(UnreadableError, match=message), explain_unreadable_images(lambda: suspects):
        raise RuntimeError("step 7")


def test_an_error_of_tensorflow_names_the_jpeg_files_that_tensorflow_refuses(tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    write_images(tmp_path / "light", 10)
    data = load(tmp_path / "light")
    refused = pathlib.Path(data.paths[3]).read_bytes()
    monkeypatch.setattr("keras_deit.training.usable_images.refuses_jpeg", lambda content: content == refused)
    message = f"cannot be read: {data.paths[3]}. "
    with pytest.raises(UnreadableError, match=message), explain_unreadable_images(lambda: [(data, None)]):
        raise tf.errors.InvalidArgumentError(None, None, "jpeg::Uncompress failed")
    with pytest.raises(RuntimeError, match="step 7"), explain_unreadable_images(lambda: [(data, None)]):
        raise RuntimeError("step 7")


def test_an_error_that_no_image_caused_is_raised_unchanged(records):
    def fail():
        raise OSError("in the search")

    for suspects in (lambda: [(records, [4, 5])], fail):
        with pytest.raises(RuntimeError, match="step 7"), explain_unreadable_images(suspects):
            raise RuntimeError("step 7")


def test_a_value_error_that_tensorflow_wraps_is_raised_as_it_was(records):
    tf = pytest.importorskip("tensorflow")

    def refuse(_):
        raise ValueError("The labels are wrong.\nThere are two lines.")

    dataset = tf.data.Dataset.range(2).map(lambda index: tf.numpy_function(refuse, [index], tf.int64))
    with (
        pytest.raises(ValueError, match="^The labels are wrong.\nThere are two lines.$"),
        explain_unreadable_images(lambda: [(records, [4])]),
    ):
        list(dataset)


def equal_splits(folder):
    """Settings and splits of a folder whose test image 0 equals training image 1."""
    write_images(folder / "train", 8)
    write_images(folder / "test", 4)
    for path in (folder / "test").rglob("*.jpg"):
        path.write_bytes(jpeg(value=int(path.stem)))
    first = sorted((folder / "train").rglob("*.jpg"))[1]
    sorted((folder / "test").rglob("*.jpg"))[0].write_bytes(first.read_bytes())
    settings = settings_of(folder)
    return settings, {split: load_images(settings, split).data for split in ("train", "test")}


EQUAL = "1 of the 4 test images equal training images, such as .*003.jpg .train, bright. and .*001.jpg .test, bright"


def test_equal_images_are_warned_of_and_looked_for_once(tmp_path, monkeypatch):
    settings, splits = equal_splits(tmp_path / "light")
    with pytest.warns(UserWarning, match=EQUAL):
        warn_of_equal_images(settings, splits)
    monkeypatch.setattr(usable_images, "find_equal_images", None)  # the result is kept
    with pytest.warns(UserWarning, match=EQUAL):
        warn_of_equal_images(settings, splits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_equal_images(dataclasses.replace(settings, check_images=False), splits)


def test_equal_images_are_looked_for_again_if_a_label_has_changed(tmp_path, monkeypatch):
    write_images(tmp_path / "light", 4)
    paths = sorted((tmp_path / "light").rglob("*.jpg"))
    paths[1].write_bytes(paths[0].read_bytes())
    settings = settings_of(tmp_path / "light")

    def warn(labels):
        splits = {"train": ImageFiles("light", [str(path) for path in paths], labels, ("a", "b"))}
        warn_of_equal_images(settings, splits)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn([0, 0, 1, 1])
    with pytest.warns(UserWarning, match="2 images equal images with another label"):
        warn([0, 1, 1, 1])


def test_equal_images_of_a_report_are_warned_of(tmp_path, monkeypatch):
    settings, splits = equal_splits(tmp_path / "light")
    keys = [[str(splits["train"].paths[1]), str(splits["test"].paths[0])]]
    ValidationReport("light", 12, {}, equal=keys).write(tmp_path / "report.json")
    monkeypatch.setattr(usable_images, "find_equal_images", None)
    with pytest.warns(UserWarning, match=EQUAL):
        warn_of_equal_images(dataclasses.replace(settings, validated=str(tmp_path / "report.json")), splits)


def test_equal_arrays_are_warned_of():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype="uint8")
    splits = {
        "train": ImageData("noise", images, np.arange(6) % 2, ("a", "b")),
        "test": ImageData("noise", images[:2], np.arange(2) % 2, ("a", "b")),
    }
    with pytest.warns(UserWarning, match="2 of the 2 test images equal training images, such as image 0 of 'noise'"):
        warn_of_equal_images(settings_of("noise"), splits)
