"""Labelled images of a sequence of records."""

import dataclasses

from keras_deit.data.sources.labelled_images import LabelledImages


@dataclasses.dataclass(frozen=True)
class ImageRecords(LabelledImages):
    """Labelled images of a sequence of records, such as those of TFDS or a `grain.MapDataset` of your own.

    Labels are only known by reading the records, so `labels` is None.

    Attributes:
        name: Name of the dataset.
        records: Any object that has a length and gives a record by index. A record is a dictionary with `image` and
            `label`, or a pair of image and label. An image is the content of an image file as bytes, or uint8 pixels
            `(height, width, 3)`. A label is an integer, -1 for an unlabelled image.
        class_names: Tuple of the names of the classes, in the order of the labels.
        identity: String that changes whenever the records do, such as a name with a version; None if there is no such
            string.

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

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name!r} has {len(self)} records. Received: index={index}")
        record = self.records[int(index)]
        return (record["image"], record["label"]) if isinstance(record, dict) else tuple(record)
