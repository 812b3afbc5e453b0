"""Labelled images of a sequence of records."""

import dataclasses
import functools

import numpy as np

from keras_deit.data.sources.labelled_images import LabelledImages, whole_numbers
from keras_deit.imaging.class_names import names_in_order
from keras_deit.imaging.image_files import as_rgb_image, to_uint8
from keras_deit.imaging.pixel_range import check_pixels

NUM_SAMPLED = 16  # records that tell the value range of all


@dataclasses.dataclass(frozen=True)
class ImageRecords(LabelledImages):
    """Labelled images of a sequence of records, such as those of TFDS or a `grain.MapDataset` of your own.

    `labels` is None, because the records must be read to know the labels.

    Attributes:
        name: Name of the dataset.
        records: Any object that has a length and gives a record by index, such as a `Dataset` of Hugging Face's `datasets`.
            A record is a dictionary with an image and a label, or a pair of both. An image is whatever
            `keras_deit.imaging.image_files.as_rgb` reads: the content of an image file as bytes, a Pillow image, or pixels
            in 0..255. A label is an integer; -1 or None for an unlabelled image.
        class_names: Names of the classes, in the order of the labels; a sequence of strings, which becomes a tuple.
        identity: String that changes if the records change, such as a name with a version; None if there is no such
            string.
        bit_depth: See `LabelledImages`.
        image_key, label_key: Keys of the image and of the label in a dictionary, for example `"img"` and `"fine_label"`.

    Raises:
        ValueError: If `records` has no length or no access by index. When a record is read: if reading fails, the record has
            no such keys, or the image has another shape or value range.

    Example:

    >>> import numpy as np
    >>> image = np.zeros((32, 32, 3), "uint8")
    >>> data = ImageRecords("mine", [{"image": image, "label": 0}, (image, 1)], ("cat", "dog"))
    >>> [label for _, label in data]
    [0, 1]
    """

    name: str = dataclasses.field()
    records: object = dataclasses.field()
    class_names: tuple = dataclasses.field()
    identity: str | None = None
    bit_depth: int | None = None
    image_key: str = "image"
    label_key: str = "label"

    def __post_init__(self):
        object.__setattr__(self, "class_names", names_in_order(self.class_names))
        if isinstance(self.records, dict) or not all(hasattr(self.records, one) for one in ("__len__", "__getitem__")):
            raise ValueError(
                "`records` must have a length and give a record by its index, as a list does, for example "
                f"list(zip(images, labels)). Received: {type(self.records).__name__}"
            )

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name!r} has {len(self)} records. Received: index={index}")
        image, label = self._image_and_label(index)
        if not isinstance(image, bytes):
            try:
                image = self._pixels(image)
            except Exception as error:  # a Pillow image may decode its file only now
                raise ValueError(f"{self.describe(index)}: {error}") from error
        return image, -1 if label is None else int(whole_numbers(self.name, [label])[0])

    def _image_and_label(self, index):
        try:
            record = self.records[int(index)]
        except Exception as error:  # the user's own code may raise any error
            raise ValueError(f"{self.describe(index)} cannot be read: {type(error).__name__}: {error}") from error
        if isinstance(record, (tuple, list)) and len(record) == 2:
            return record
        if not isinstance(record, dict):
            raise ValueError(
                f"{self.describe(index)}: a record must be a dictionary or a pair of image and label. Received: "
                f"{type(record).__name__}{f' of {len(record)}' if isinstance(record, (tuple, list)) else ''}"
            )
        missing = [key for key in (self.image_key, self.label_key) if key not in record]
        if missing:
            raise ValueError(
                f"The records of {self.name!r} have no entry {missing[0]!r}. Pass `image_key` and `label_key`, two of "
                f"their keys: {', '.join(map(str, record))}"
            )
        return record[self.image_key], record[self.label_key]

    def _pixels(self, image):
        pixels = np.asarray(as_rgb_image(image, self.bit_depth))
        if pixels.dtype != np.uint8:
            check_pixels([pixels, self._extremes], f"The images of {self.name!r}")
        return to_uint8(pixels)

    @functools.cached_property
    def _extremes(self):
        """Smallest and largest values of some records that are not uint8: a dark image alone does not tell its range."""
        indices = np.unique(np.linspace(0, len(self) - 1, NUM_SAMPLED).astype(int))
        images = (self._image_and_label(index)[0] for index in indices)
        arrays = [np.asarray(image) for image in images if hasattr(image, "dtype")]
        return np.array([[array.min(), array.max()] for array in arrays if array.dtype != np.uint8], "float32")
