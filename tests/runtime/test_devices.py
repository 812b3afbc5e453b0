"""The memory that a process has used, and TensorFlow beside another backend."""

import pathlib
import sys
import types

import keras
import pytest

from keras_deit.data.augment import tensorflow_ops
from keras_deit.runtime.devices import import_tensorflow, peak_memory


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the other source is Linux's")
def test_the_peak_of_memory_is_that_of_the_process():
    (line,) = (line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert peak_memory() == pytest.approx(1024 * int(line.split()[1]), rel=0.05)


class FakeTensorFlow(types.ModuleType):
    """TensorFlow with a GPU; after its first use, the visible devices cannot be changed any more."""

    def __init__(self, is_used=False):
        super().__init__("tensorflow")
        self.hidden = []
        self.is_used = is_used
        self.config = types.SimpleNamespace(set_visible_devices=self.set_visible_devices)

    def set_visible_devices(self, devices, device_type):
        if self.is_used:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.hidden.append((devices, device_type))


@pytest.mark.parametrize("take", [tensorflow_ops.tensorflow, lambda: import_tensorflow(purpose="A test")])
def test_gpus_are_hidden_from_tensorflow_beside_another_backend(take, monkeypatch):
    fake = FakeTensorFlow()
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    assert take() is fake
    assert fake.hidden == ([] if keras.backend.backend() == "tensorflow" else [([], "GPU")])


def test_a_program_that_used_tensorflow_before_keeps_its_devices(monkeypatch):
    fake = FakeTensorFlow(is_used=True)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    assert import_tensorflow(purpose="A test") is fake
