"""The name of the device."""

import keras
import pytest

from keras_deit.benchmark import device


@pytest.mark.parametrize(("cores", "name"), [(1, "cpu (1 core)"), (2, "cpu (2 cores)")])
def test_a_machine_without_a_gpu_is_named_with_its_cores(cores, name, monkeypatch):
    monkeypatch.setattr(device, f"_{keras.backend.backend()}_gpu", lambda: None)
    monkeypatch.setattr(device, "usable_cores", lambda: cores)
    assert device.device_name() == name
    assert not device.has_gpu()


def test_the_gpu_of_the_active_backend_is_named(monkeypatch):
    monkeypatch.setattr(device, f"_{keras.backend.backend()}_gpu", lambda: "NVIDIA H200")
    assert device.device_name() == "NVIDIA H200"
    assert device.has_gpu()
