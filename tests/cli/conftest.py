"""A short variant, a home of its own for the teacher, and a run that nothing disturbed."""

import dataclasses

import pytest

from keras_deit.models.variants import VARIANTS
from tests.cli.runs import SHORT, train


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Where the teacher is kept."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def short_runs(home):
    """A home of their own, and a DeiT-Ti of two blocks: compiling is what takes the time."""
    short = dataclasses.replace(VARIANTS["deit_ti"], arguments={**VARIANTS["deit_ti"].arguments, "num_layers": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home))
        patch.setitem(VARIANTS, "deit_short", short)
        yield


@pytest.fixture(scope="module")
def uninterrupted(short_runs, home):
    """The directory of a run that nothing disturbed."""
    directory = home / "uninterrupted"
    if not (directory / "summary.json").exists():
        assert train(*SHORT, "--output-dir", directory) == 0
    return directory
