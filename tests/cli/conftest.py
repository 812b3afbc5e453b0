"""A short variant, a home of its own for the teacher, and a run that nothing disturbed."""

import dataclasses

import pytest

from keras_deit.models.variants import VARIANTS
from tests.cli.runs import SHORT, train


@pytest.fixture(scope="module")
def short_runs(tmp_path_factory):
    """A home of their own, where the teacher is kept, and a DeiT-Ti of two blocks: compiling is what takes the time."""
    short = dataclasses.replace(VARIANTS["deit_ti"], arguments={**VARIANTS["deit_ti"].arguments, "num_layers": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(VARIANTS, "deit_short", short)
        yield


@pytest.fixture(scope="module")
def uninterrupted(short_runs, tmp_path_factory):
    """The directory of a run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert train(*SHORT, "--output-dir", directory) == 0
    return directory
