"""Labelled images of a sequence of records."""

import io

import numpy as np
import pytest

from keras_deit.data import ImageRecords, validate
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


def rows(number=4):
    """Rows as Hugging Face's `datasets` gives them: dictionaries with a Pillow image."""
    pillow = pytest.importorskip("PIL.Image", reason="the images are Pillow's")
    return [{"img": pillow.fromarray(noise(40, 40, 3, seed=index)), "fine_label": index % 2} for index in range(number)]


def test_rows_of_hugging_face_are_read_by_their_keys():
    data = ImageRecords("mine", rows(), CLASSES, image_key="img", label_key="fine_label")
    for index, (image, label) in enumerate(data):
        np.testing.assert_array_equal(image, noise(40, 40, 3, seed=index))
        assert label == index % 2


def test_missing_keys_are_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="'mine' have no entry 'image'.*`image_key` and `label_key`.*img, fine_label"):
        ImageRecords("mine", rows(), CLASSES)[0]
    with pytest.raises(ValueError, match="no entry 'label'.*img, fine_label"):
        ImageRecords("mine", rows(), CLASSES, image_key="img")[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_pillow_images_of_any_mode_become_rgb(mode):
    image = rows(1)[0]["img"].convert(mode)
    np.testing.assert_array_equal(ImageRecords("mine", [(image, 0)], CLASSES)[0][0], np.asarray(image.convert("RGB")))


def test_arrays_of_any_kind_become_rgb_of_eight_bits():
    grey = noise(8, 8)
    three = np.stack([grey] * 3, axis=-1)
    for image, expected in [
        (grey, three),
        (grey[..., None], three),
        (np.concatenate([three, three[..., :1]], axis=-1), three),
        (three.astype("float32") + 0.2, three),
        (grey.astype("uint16") * 257, three),
    ]:
        received, label = ImageRecords("mine", [(image, None)], CLASSES)[0]
        assert (received.dtype, label) == (np.uint8, -1)
        np.testing.assert_array_equal(received, expected)


def test_the_range_of_floats_is_that_of_many_records():
    records = [(noise(8, 8, 3, seed=index).astype("float32"), 0) for index in range(40)]
    records[7] = (np.full((8, 8, 3), 0.6, "float32"), 0)
    np.testing.assert_array_equal(ImageRecords("mine", records, CLASSES)[7][0], np.ones((8, 8, 3)))
    unit = [(image / 255, label) for image, label in records]
    with pytest.raises(ValueError, match="image 3 of 'mine': The images of 'mine' must have pixels in 0..255.*by 255"):
        ImageRecords("mine", unit, CLASSES)[3]


def test_a_pillow_image_of_unknown_range_is_named():
    pillow = pytest.importorskip("PIL.Image", reason="the images are Pillow's")
    with pytest.raises(ValueError, match="image 1 of 'mine': its pixels are of mode 'F'"):
        ImageRecords("mine", [(b"", 0), (pillow.fromarray(np.zeros((8, 8), "float32")), 0)], CLASSES)[1]


class Raising:
    """Two records, the second of which cannot be read."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index:
            raise self.error
        return noise(40, 40, 3), 1


@pytest.mark.parametrize("error", [OSError("cut off"), SyntaxError("broken PNG file"), KeyError("bytes")])
def test_a_record_that_cannot_be_read_is_named_and_counted(error):
    data = ImageRecords("mine", Raising(error), CLASSES)
    with pytest.raises(ValueError, match=f"image 1 of 'mine' cannot be read: {type(error).__name__}"):
        data[1]
    pytest.importorskip("tqdm", reason="it shows a progress bar")
    assert validate(data, progress=False).problems == {"1": ["unreadable"]}


def test_a_pillow_image_that_is_cut_off_is_named():
    pillow = pytest.importorskip("PIL.Image", reason="Pillow decodes the image")
    content = encode(noise(200, 200, 3), "JPEG")
    data = ImageRecords("mine", [(pillow.open(io.BytesIO(content[: len(content) // 2])), 0)], CLASSES)
    with pytest.raises(ValueError, match="image 0 of 'mine': image file is truncated"):
        data[0]


@pytest.mark.parametrize("records", [{"image": [], "label": []}, iter([]), zip([], [], strict=True), {1, 2}])
def test_what_gives_no_record_by_its_index_is_refused(records):
    with pytest.raises(ValueError, match=f"`records` must have a length.*Received: {type(records).__name__}"):
        ImageRecords("mine", records, CLASSES)


@pytest.mark.parametrize("record", [noise(4, 4, 3), (noise(4, 4, 3), 0, "more"), "a.png"])
def test_a_record_of_another_form_is_refused(record):
    with pytest.raises(ValueError, match="image 0 of 'mine': a record must be a dictionary or a pair"):
        ImageRecords("mine", [record], CLASSES)[0]


def test_an_image_with_its_channels_first_is_refused():
    data = ImageRecords("mine", [(noise(3, 40, 40), 0)], CLASSES)
    with pytest.raises(ValueError, match=r"image 0 of 'mine': an image must have.*shape=\(3, 40, 40\)"):
        data[0]
