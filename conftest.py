"""Two CPU devices on TensorFlow and JAX, so that tests can train on replicas; a fixed seed; tests without a backend once."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def pytest_collection_finish():
    """Takes the imported packages out of garbage collection, which Keras calls for every kernel that it quantizes."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests that are the same on every backend, where another run of the suite has them."""
    if not os.environ.get("KERAS_DEIT_SKIP_BACKEND_INDEPENDENT"):
        return
    deselected = [item for item in items if item.get_closest_marker("backend_independent")]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if not item.get_closest_marker("backend_independent")]
