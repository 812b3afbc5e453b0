"""Freed memory is kept for later allocations, on Linux with glibc."""

import os
import subprocess
import sys

import pytest

from keras_deit.runtime import freed_memory
from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.freed_memory import VARIABLES, keep_freed_memory

pytestmark = pytest.mark.backend_independent

COUNT_PAGE_FAULTS = """
import ctypes, importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("freed_memory", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if sys.argv[2] == "keep":
    assert module.keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(2**20) for _ in range(16)]
    del blocks
    after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(after - before)
"""


def page_faults(*arguments):
    """Page faults while 16 blocks of a mebibyte are allocated and freed, after this has been done twice."""
    environment = {name: value for name, value in child_environment("torch").items() if name not in VARIABLES}
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS, freed_memory.__file__, *arguments]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not freed_memory._has_glibc(), reason="the settings are those of glibc")
def test_freed_blocks_are_used_again_without_page_faults():
    assert page_faults("keep") < 100 < page_faults("free")  # 4,096 pages of 4 kB, or fewer that are larger


@pytest.mark.parametrize("name", VARIABLES)
def test_settings_of_the_user_stay_unchanged(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", None)  # a call would fail
    assert keep_freed_memory() is False


def test_nothing_is_changed_with_another_c_library(monkeypatch):
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", None)
    monkeypatch.setattr(os, "confstr_names", {}, raising=False)  # as with musl, on macOS
    assert keep_freed_memory() is False
    monkeypatch.delattr(os, "confstr_names")  # as on Windows
    assert keep_freed_memory() is False
