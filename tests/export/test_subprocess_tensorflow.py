"""The child process that runs TensorFlow for the other backends."""

import io
import os
import pickle
import sys
import threading
import time
import types

import numpy as np
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


SUMS_OF_THE_IMAGES = """
import os, pickle, sys, time

while True:
    try:
        method, arguments = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    reply = True, {"num_classes": 7}
    if method == "run" and arguments[0].ndim != 2:
        reply = False, "ValueError: one image per row"
    elif method == "run":
        time.sleep(0.2)
        reply = True, arguments[0].sum(axis=-1)
        if arguments[0][0, 0] == 13:
            os._exit(3)
        if arguments[0][0, 0] == 14:
            os.write(1, pickle.dumps(reply)[:-5])
            os._exit(4)
    pickle.dump(reply, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def process(monkeypatch):
    """A process that answers with the sum of each row after a fifth of a second, without TensorFlow."""
    popen = subprocess_tensorflow.subprocess.Popen
    monkeypatch.setattr(subprocess_tensorflow, "check_tensorflow", lambda: None)
    monkeypatch.setattr(
        subprocess_tensorflow.subprocess,
        "Popen",
        lambda command, **options: popen([command[0], "-c", SUMS_OF_THE_IMAGES], **options),
    )
    process = subprocess_tensorflow.SavedModelProcess("model")
    assert process.num_classes == 7
    return process


@pytest.mark.backend_independent
def test_an_interrupted_call_does_not_answer_the_next_one(process, monkeypatch):
    class Interrupted(BaseException):
        pass

    def interrupted(file):
        time.sleep(0.01)
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(subprocess_tensorflow.pickle, "load", interrupted)
        with pytest.raises(Interrupted):
            process.run(np.array([[1.0, 2.0]]))
    assert process.run(np.array([[30.0, 40.0]])).tolist() == [70]


@pytest.mark.backend_independent
def test_each_thread_gets_its_own_reply(process):
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: process.run(np.full((1, 2), float(n))).tolist()}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [2.0 * n] for n in range(4)}


@pytest.mark.backend_independent
def test_an_error_of_one_call_does_not_end_the_process(process):
    number = process._process.pid
    with pytest.raises(RuntimeError, match=r"SavedModel model on this input\. ValueError: one image per row"):
        process.run(np.zeros(3))
    assert process.run(np.ones((1, 3))).tolist() == [3]
    assert process._process.pid == number


@pytest.mark.backend_independent
@pytest.mark.parametrize(("image", "status"), [(13.0, 3), (14.0, 4)])
def test_a_process_that_ends_in_a_call_is_an_error_and_the_next_call_works(process, image, status):
    with pytest.raises(RuntimeError, match=f"child process that runs TensorFlow .* exit status {status}"):
        process.run(np.full((1, 2), image))
    assert process.run(np.ones((1, 3))).tolist() == [3]


@pytest.mark.backend_independent
def test_a_process_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(subprocess_tensorflow, "END_SECONDS", 0.1)
    pipes = dict(stdin=subprocess_tensorflow.subprocess.PIPE, stdout=subprocess_tensorflow.subprocess.PIPE)
    sleeping = subprocess_tensorflow.subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **pipes)
    start = time.monotonic()
    assert subprocess_tensorflow._end(sleeping) != 0
    assert time.monotonic() - start < 30


@pytest.mark.backend_independent
def test_the_process_serves_errors_as_replies(monkeypatch):
    calls = pickle.dumps(("run", ("ab",))) + pickle.dumps(("run", (1,)))
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(calls)))
    replies = io.BytesIO()
    subprocess_tensorflow.serve(types.SimpleNamespace(run=len), replies)
    replies.seek(0)
    assert pickle.load(replies) == (True, 2)
    is_result, error = pickle.load(replies)
    assert not is_result
    assert error.startswith("TypeError: ")
