"""Pictures that cannot be read, or are not what they seem."""

import io

import numpy as np
import pytest

from keras_deit.data import ImageFiles, read_report, validate
from keras_deit.data.sources.validation import kinds_of

pillow = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
pytest.importorskip("tqdm", reason="the progress bar is tqdm's")


def content(picture, kind="JPEG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def picture():
    return pillow.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype="uint8"))


def test_every_kind_is_told(picture):
    jpeg = content(picture)
    sixteen = pillow.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype("uint16"))
    found = {
        "good": kinds_of(jpeg, ".jpg"),
        "good too": kinds_of(content(picture, "PNG"), ".PNG"),
        "unreadable": kinds_of(b"no picture", ".jpg"),
        "empty": kinds_of(b"", ".jpg"),
        "truncated": kinds_of(jpeg[: len(jpeg) // 2], ".jpg"),
        "mislabelled": kinds_of(content(picture, "PNG"), ".jpg"),
        "tiny": kinds_of(content(picture.resize((31, 40))), ".jpg"),
        "cmyk": kinds_of(content(picture.convert("CMYK")), ".jpg"),
        "16-bit": kinds_of(content(sixteen, "PNG"), ".png"),
        "animated": kinds_of(content(picture, "GIF", save_all=True, append_images=[picture.rotate(90)]), ".gif"),
        "several": kinds_of(content(sixteen.resize((8, 8)), "PNG"), ".jpg"),
    }
    assert found == {
        "good": [],
        "good too": [],
        "empty": ["unreadable"],
        "several": ["mislabelled", "tiny", "16-bit"],
        **{kind: [kind] for kind in ("unreadable", "truncated", "mislabelled", "tiny", "cmyk", "16-bit", "animated")},
    }


def test_a_damaged_header_of_every_length_is_no_crash(picture):
    jpeg, png = content(picture), content(picture, "PNG")
    for good in (jpeg, png):
        for length in range(0, len(good), max(1, len(good) // 60)):
            assert kinds_of(good[:length]) in (["unreadable"], ["truncated"], []), length


def test_a_walk_names_the_files_and_its_report_is_read_again(picture, tmp_path):
    paths = [tmp_path / f"{place}.jpg" for place in range(5)]
    for place, path in enumerate(paths):
        path.write_bytes(content(picture) if place != 2 else b"")
    paths.append(tmp_path / "missing.jpg")
    data = ImageFiles("mine", tuple(map(str, paths)), np.zeros(6, int), ("a",))
    report = validate(data, num_threads=2, progress=False)
    assert report.problems == {str(paths[2]): ["unreadable"], str(paths[5]): ["unreadable"]}
    assert (report.checked, report.counts()) == (6, {"unreadable": 2})
    assert len(data.without(report.having(["unreadable"]))) == 4
    assert report.having(["tiny"]) == set()
    report.write(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    "text", ["", "[]", '{"dataset": "a"}', '{"dataset": "a", "checked": 1, "problems": {"x": ["odd"]}}']
)
def test_what_is_no_report_is_refused(text, tmp_path):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match="is no report of `keras-deit validate-data`"):
        read_report(tmp_path / "report.json")
