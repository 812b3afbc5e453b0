"""The child process that runs TensorFlow for the other backends."""

import os
import sys

import pytest

from keras_deit.export import subprocess_tensorflow
from tests.export.students import needs_tensorflow, other_backends_only, student


def test_missing_tensorflow_is_an_error_that_names_the_extra(monkeypatch, tmp_path):
    model = student(num_layers=1)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    calls = [
        lambda: subprocess_tensorflow.check_tensorflow(),
        lambda: subprocess_tensorflow.write("saved_model", model, tmp_path / "model"),
        lambda: subprocess_tensorflow.SavedModelProcess(tmp_path / "model"),
    ]
    for call in calls:
        with pytest.raises(ImportError, match=r"tensorflow.*keras-deit\[export\]"):
            call()


@needs_tensorflow
@other_backends_only
def test_the_error_of_a_failing_process_is_passed_on(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit status 1(.|\n)*no_such_model"):
        subprocess_tensorflow.SavedModelProcess(tmp_path / "no_such_model")


def test_the_process_runs_on_the_cpu_and_finds_this_package(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--of_another_backend=1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = subprocess_tensorflow._environment()
    package, *rest = environment["PYTHONPATH"].split(os.pathsep)
    assert os.path.exists(os.path.join(package, "keras_deit", "export", "__main__.py"))
    assert rest == ["/elsewhere"]
    assert environment["KERAS_BACKEND"] == "tensorflow"
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "XLA_FLAGS" not in environment
