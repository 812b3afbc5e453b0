"""Fixtures of short runs, for the tests of `training` and of the command line."""

import dataclasses
import os
import pathlib

import keras
import pytest

from keras_deit.data import load
from keras_deit.data.sources.image_issues import validate
from keras_deit.training import run
from keras_deit.training.teachers import convnet
from tests.export.students import IN_PROCESS_FORMATS
from tests.image_folders import write_issues
from tests.runs import SHORT, SHORTEST, add_short_variant, leave_report_out, train_printed

TEACHER_EPOCHS = 16  # about half of the epochs of a run outside of the tests


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run that was not interrupted.

    Attributes:
        directory: Output directory.
        printed: The text that the command printed.
    """

    directory: pathlib.Path
    printed: str


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Directory where the teacher is kept, trained once for all tests, also for those of several workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def user_home(tmp_path, monkeypatch):
    """Directory that `~` stands for."""
    directory = tmp_path / "user"
    directory.mkdir()
    for variable in ("HOME", "USERPROFILE"):  # of POSIX and of Windows
        monkeypatch.setenv(variable, str(directory))
    return directory


@pytest.fixture(scope="module")
def short_runs(home):
    """Adds the short variant, and sets the home of its teacher."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home))
        patch.setattr(convnet, "EPOCHS", TEACHER_EPOCHS)
        add_short_variant(patch)
        leave_report_out(patch)
        yield


@pytest.fixture(scope="session")
def whole_run(home):
    """A whole run with a teacher, and a second student without it."""
    return _run_once(home, "whole", *SHORT, "--compare")


@pytest.fixture(scope="session")
def exporting_run(home):
    """A run of one step whose student is exported; a SavedModel would take two more processes beside another backend."""
    return _run_once(home, "exporting", *SHORTEST, "--distillation", "none", "--export", ",".join(IN_PROCESS_FORMATS))


def _run_once(home, name, *options):
    """Trains in a directory of `home`, once for all workers of pytest-xdist."""
    filelock = pytest.importorskip("filelock", reason="a run needs it")
    printed = home / f"{name}.txt"
    with filelock.FileLock(home / f"{name}.lock"):
        if not printed.exists():
            printed.write_text(_train(home, *options, "--output-dir", home / name), encoding="utf-8")
    return FinishedRun(home / name, printed.read_text(encoding="utf-8"))


def _train(home, *options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home))
        patch.setattr(convnet, "EPOCHS", TEACHER_EPOCHS)
        add_short_variant(patch)
        leave_report_out(patch)
        status, printed = train_printed(*options)
    assert status == 0
    return printed


@pytest.fixture
def linear_student(monkeypatch):
    """Replaces the model of runs without a teacher by a linear model, for tests of the data: it gets the same batches.

    The student is still built and saved, but not compiled, which would take most of the time of such a test.
    """

    def make_linear(settings, data, student):
        model = keras.Sequential(
            [keras.Input(student.input_shape[1:]), keras.layers.Flatten(), keras.layers.Dense(data.train.num_classes)]
        )
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, weighted_metrics=["accuracy"])
        return model

    monkeypatch.setattr(run, "_classifier", make_linear)


@pytest.fixture(scope="session")
def issues_folder(tmp_path_factory):
    """A folder of 200 images, one of each issue; and the paths of these by issue."""
    folder = tmp_path_factory.mktemp("data") / "light"
    return folder, write_issues(folder)


@pytest.fixture(scope="session")
def issues_report(issues_folder):
    """Path of a report on that folder."""
    folder, _ = issues_folder
    train, test = (validate(load(folder, split), progress=False) for split in ("train", "test"))
    train.joined([test]).write(folder.parent / "report.json")
    return folder.parent / "report.json"
