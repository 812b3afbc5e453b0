"""Images that cannot be read, or are not what they seem."""

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageFiles, ImageRecords, validate
from keras_deit.data.sources.image_issues import ValidationReport, check_example, example_key, image_issues, read_report
from tests.data.images import encode, noise

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")
pytest.importorskip("tqdm", reason="the progress bar is tqdm's")
pytestmark = pytest.mark.backend_independent


@pytest.fixture
def image():
    return pillow.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype="uint8"))


def test_every_issue_is_found(image):
    jpeg = encode(image, "JPEG")
    sixteen = pillow.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype("uint16"))
    found = {
        "good": image_issues(jpeg, ".jpg"),
        "good too": image_issues(encode(image, "PNG"), ".PNG"),
        "unreadable": image_issues(b"not an image", ".jpg"),
        "empty": image_issues(b"", ".jpg"),
        "truncated": image_issues(jpeg[: len(jpeg) // 2], ".jpg"),
        "wrong-extension": image_issues(encode(image, "PNG"), ".jpg"),
        "tiny": image_issues(encode(image.resize((31, 40)), "JPEG"), ".jpg"),
        "cmyk": image_issues(encode(image.convert("CMYK"), "JPEG"), ".jpg"),
        "16-bit": image_issues(encode(sixteen, "PNG"), ".png"),
        "unused-bits": image_issues(encode(pillow.fromarray(np.asarray(sixteen) // 20), "PNG"), ".png"),
        "animated": image_issues(encode(image, "GIF", save_all=True, append_images=[image.rotate(90)]), ".gif"),
        "several": image_issues(encode(sixteen.resize((8, 8)), "PNG"), ".jpg"),
    }
    assert found == {
        "good": [],
        "good too": [],
        "empty": ["unreadable"],
        "several": ["wrong-extension", "tiny", "16-bit"],
        "unused-bits": ["16-bit", "unused-bits"],
        **{
            issue: [issue]
            for issue in ("unreadable", "truncated", "wrong-extension", "tiny", "cmyk", "16-bit", "animated")
        },
    }


def test_an_extension_that_names_no_format_is_not_wrong(image):
    for extension in ("", ".2019", ".jfif", ".JPE"):
        assert image_issues(encode(image, "JPEG"), extension) == []
    assert image_issues(encode(image, "PNG"), ".jfif") == ["wrong-extension"]


def test_a_photograph_with_a_second_image_in_its_file_is_neither_animated_nor_of_another_format(image):
    several = encode(image, "MPO", save_all=True, append_images=[image.rotate(90)])
    assert image_issues(several, ".jpg") == []


def test_an_image_that_is_cut_anywhere_causes_no_crash(image):
    for whole in (encode(image, "JPEG"), encode(image, "PNG")):
        for length in range(0, len(whole), max(1, len(whole) // 60)):
            assert image_issues(whole[:length]) in (["unreadable"], ["truncated"], []), length


def test_validation_names_the_files_and_its_report_can_be_read_again(image, tmp_path):
    paths = [tmp_path / f"{index}.jpg" for index in range(5)]
    for index, path in enumerate(paths):
        path.write_bytes(encode(image, "JPEG") if index != 2 else b"")
    paths.append(tmp_path / "missing.jpg")
    data = ImageFiles("mine", tuple(map(str, paths)), np.array([0, -1, 0, -1, 0, 0]), ("a",))
    report = validate(data, num_threads=2, progress=False)
    assert report.problems == {str(paths[2]): ["unreadable"], str(paths[5]): ["unreadable"]}
    assert (report.checked, report.counts(), report.unlabelled) == (
        6,
        {"unreadable": 2},
        [str(paths[1]), str(paths[3])],
    )
    bad = report.having(["unreadable"])
    usable = data.select([index for index in range(len(data)) if example_key(data, index) not in bad])
    assert len(usable) == 4
    assert report.having(["tiny"]) == set()
    report.write(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report


def test_records_are_validated_like_files(image):
    jpeg = encode(image, "JPEG")
    records = [
        (jpeg, 0),
        {"image": b"not an image", "label": 1},
        {"image": jpeg[: len(jpeg) // 2], "label": -1},
        (encode(image.resize((31, 40))), -1),
        (noise(31, 40, 3), 1),
        (noise(32, 32, 3), -1),
    ]
    report = validate(ImageRecords("mine", records, ("a", "b")), progress=False)
    assert report.problems == {"1": ["unreadable"], "2": ["truncated"], "3": ["tiny"], "4": ["tiny"]}
    assert (report.dataset, report.checked, report.unlabelled) == ("mine", 6, ["2", "3", "5"])
    assert report.class_counts == [1, 1, 2]  # of the readable images
    assert report.counts() == {"unreadable": 1, "truncated": 1, "tiny": 2}


def test_records_that_cannot_be_read_are_found():
    class Lost:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    report = validate(ImageRecords("mine", Lost(), ("a",)), progress=False)
    assert (report.problems, report.unlabelled) == ({"0": ["unreadable"], "1": ["unreadable"]}, [])


@pytest.mark.parametrize("label", [2, -2])
def test_a_label_of_a_record_that_is_no_class_index_is_refused(label):
    data = ImageRecords("mine", [(noise(40, 40, 3), 0), (noise(40, 40, 3), label)], ("a", "b"))
    with pytest.raises(ValueError, match=f"labels of 'mine' must be from 0 to 1 .* or -1 .* Received: {label}"):
        validate(data, progress=False)


def test_images_in_memory_are_only_checked_for_their_size():
    images = [noise(31, 40, 3), noise(32, 40, 3), noise(40, 31, 3)]
    data = ImageData("mine", images, np.array([0, -1, -1]), ("a",))
    report = validate(data, progress=False)
    assert (report.problems, report.unlabelled) == ({"0": ["tiny"], "2": ["tiny"]}, ["1", "2"])
    assert check_example(data, 2) == (["tiny"], -1)


def test_more_images_than_are_handed_out_together(monkeypatch):
    monkeypatch.setattr("keras_deit.data.sources.image_issues.CHUNK", 3)
    images = [noise(31 if index == 6 else 32, 40, 3) for index in range(7)]
    data = ImageData("mine", images, np.arange(7) % 2 - 1, ("a",))
    report = validate(data, progress=False)
    assert (report.problems, report.checked, report.unlabelled) == ({"6": ["tiny"]}, 7, ["0", "2", "4", "6"])


def test_reports_of_several_splits_are_joined():
    joined = ValidationReport("mine", 3, {"a": ["tiny"]}, ["a"]).joined(
        [ValidationReport("mine", 2, {"b": ["cmyk", "tiny"]}, ["b", "c"]), ValidationReport("mine", 4, {})]
    )
    assert joined == ValidationReport("mine", 9, {"a": ["tiny"], "b": ["cmyk", "tiny"]}, ["a", "b", "c"])
    assert joined.having(["cmyk"]) == {"b"}
    assert joined.counts() == {"tiny": 2, "cmyk": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"dataset": "a"}',
        '{"dataset": "a", "checked": 1, "problems": {"x": ["odd"]}}',
        '{"dataset": "a", "checked": 1, "problems": {}, "more": 1}',
    ],
)
def test_other_files_are_refused_as_reports(text, tmp_path):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match="is not a report of `keras-deit validate-data`"):
        read_report(tmp_path / "report.json")


def test_truncated_files_are_found_although_the_program_lets_pillow_read_them(image, monkeypatch, tmp_path):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("JPEG", "PNG"):
        content = encode(image, name)
        assert image_issues(content[: len(content) // 2]) == ["truncated"]
        records = ImageRecords("mine", [(content, 0), (content[: len(content) // 2], 1)] * 20, ("a", "b"))
        problems = validate(records, num_threads=4, progress=False).problems
        assert problems == {str(index): ["truncated"] for index in range(1, 40, 2)}
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_images_that_differ_only_in_transparency_are_found(mode, image):
    alpha = image.convert("L").point(lambda value: 255 * (value > 100))
    drawing = pillow.new("RGBA", image.size)
    drawing.putalpha(alpha)
    logo = pillow.new("RGBA", image.size, "red")
    logo.paste((0, 0, 255), (0, 0, 20, 20))
    logo.putalpha(alpha)
    assert image_issues(encode(drawing.convert(mode), "PNG"), ".png") == ["alpha-only"]
    assert image_issues(encode(logo.convert(mode), "PNG"), ".png") == []
    assert (
        image_issues(encode(pillow.new(mode, image.size), "PNG"), ".png") == []
    )  # of one colour, and nothing in alpha
