"""Students that are exported once for all tests."""

import pickle

import pytest

from keras_deit.export.formats import export
from tests.export.students import CLASS_NAMES, PREPROCESSING, QUANTIZED_FORMATS, RUNNABLE_FORMATS, digits, student


@pytest.fixture(scope="session")
def exported(home):
    """The student, the directory of its exports, and the report on each format that can run on this machine.

    The images are 64 digits. The workers of pytest-xdist share the exports.
    """
    filelock = pytest.importorskip("filelock", reason="one worker waits for the exports of the other")
    model, directory = student(class_names=CLASS_NAMES, preprocessing=PREPROCESSING), home / "export"
    directory.mkdir(exist_ok=True)
    stored = home / "export.pickle"
    with filelock.FileLock(home / "export.lock"):
        if not stored.exists():
            formats, calibration = [*RUNNABLE_FORMATS, *QUANTIZED_FORMATS], digits(32, split="train")[0]
            stored.write_bytes(pickle.dumps(export(model, formats, directory, *digits(64), calibration)))
    reports = pickle.loads(stored.read_bytes())
    return model, directory, {report.format: report for report in reports}


@pytest.fixture(scope="session")
def full_size_student():
    """A student with the size of `deit_ti`: twelve blocks, 224 pixels and 1,000 classes."""
    return student(image_size=224, patch_size=16, num_layers=12, num_classes=1000)
