"""The name of the device."""

import keras

from keras_deit.benchmark import device
from keras_deit.runtime.cores import usable_cores


def test_a_machine_without_a_gpu_is_named_with_its_cores(monkeypatch):
    monkeypatch.setattr(device, f"_{keras.backend.backend()}_gpu", lambda: None)
    assert device.device_name() == f"cpu ({usable_cores()} cores)"
    assert not device.has_gpu()


def test_the_gpu_of_the_active_backend_is_named(monkeypatch):
    monkeypatch.setattr(device, f"_{keras.backend.backend()}_gpu", lambda: "NVIDIA H200")
    assert device.device_name() == "NVIDIA H200"
    assert device.has_gpu()
