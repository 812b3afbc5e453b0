"""The memory that a process has used."""

import pathlib

import pytest

from keras_deit.runtime.devices import peak_memory


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the other source is Linux's")
def test_the_peak_of_memory_is_that_of_the_process():
    (line,) = (line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert peak_memory() == pytest.approx(1024 * int(line.split()[1]), rel=0.05)
