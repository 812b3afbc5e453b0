"""Two CPU devices on TensorFlow and JAX, so that tests can train on replicas; a fixed seed; models that run eagerly.

The tests that another run has are left out.
"""

import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On JAX, compiling takes most of the time of the tests: the compiler optimises little.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"
    " --xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters",
)
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

BACKENDS = ("tensorflow", "jax", "torch")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_requested_collections(monkeypatch):
    """Stops the garbage collections that Keras asks for after each kernel that it quantizes and in `clear_session`.

    A collection goes through all objects of the process, and those of the tests before take a second.
    """
    monkeypatch.setattr(gc, "collect", lambda *arguments: 0)


@pytest.fixture(autouse=True)
def _eager(request, monkeypatch):
    """Runs models eagerly in tests marked `eager`: tracing and compiling take ten times as long as a short training."""
    marker, backend = request.node.get_closest_marker("eager"), keras.backend.backend()
    is_eager = marker and backend in (marker.args or BACKENDS) and not request.node.get_closest_marker("compiled")
    if is_eager:
        monkeypatch.setattr(keras.Model, "run_eagerly", property(lambda model: True, lambda model, value: None))


def pytest_collection_finish():
    """Takes the imported packages out of garbage collection."""
    gc.collect()
    gc.freeze()


_passed = []


def pytest_runtest_logreport(report):
    """Keeps the name of a test that passed."""
    if report.when == "call" and report.passed:
        _passed.append(report.nodeid)


def pytest_sessionfinish(session):
    """Writes the names of the tests that passed, if a later run shall leave them out."""
    path = os.environ.get("KERAS_DEIT_WRITE_PASSED")
    is_worker = hasattr(session.config, "workerinput")  # of pytest-xdist; the process that started it has all reports
    if path and not is_worker:
        pathlib.Path(path).write_text("\n".join(_passed), encoding="utf-8")


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests that another run has: those that are the same on every backend, and those that passed there."""
    path = pathlib.Path(os.environ.get("KERAS_DEIT_SKIP_PASSED", ""))
    passed = set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()
    without_mark = bool(os.environ.get("KERAS_DEIT_SKIP_BACKEND_INDEPENDENT"))
    kept, left_out = [], []
    for item in items:
        is_had = item.nodeid in passed or (without_mark and item.get_closest_marker("backend_independent"))
        (left_out if is_had else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
