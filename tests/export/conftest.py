"""One student exported in every format, once for all tests."""

import pytest

from keras_deit.export.report import export
from tests.export.students import HAS_LITERT, images, student


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The student, the directory, and the report on each format that can run here."""
    model, directory = student(), tmp_path_factory.mktemp("export")
    reports = export(model, ["saved_model", "litert"] if HAS_LITERT else ["saved_model"], directory, images(5))
    return model, directory, {report.format: report for report in reports}
