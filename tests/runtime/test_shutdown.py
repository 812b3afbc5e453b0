"""A process ends even if an error leaves datasets running."""

import subprocess
import sys
import threading

import pytest

from keras_deit.runtime import shutdown
from keras_deit.runtime.shutdown import unless_exiting, until_exit

# The traceback of the error refers to two datasets, one of which runs a generator of Python and the other a function.
SCRIPT = """
import itertools, time
import numpy as np
from keras_deit.data import ImageRecords, InputPipeline
from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.data.pipeline.tf_data_pipeline import from_stream, timed

def stream():
    for _ in itertools.count():
        time.sleep(0.05)
        yield np.zeros((2, 8, 8, 3), "float32"), np.zeros((2, 2), "float32")

class Records:
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        time.sleep(0.1)
        return np.zeros((8, 8, 3), "uint8"), 0

def evaluate():
    data = ImageRecords("slow", Records(), ("a", "b"))
    batches = iter(InputPipeline(data, 8, pipeline="tf.data").evaluation_batches(2))
    next(batches)
    raise RuntimeError("out of memory")

def train():
    batches = iter(timed(from_stream(stream, 2, (8, 8)), InputStallTimer()))
    next(batches)
    evaluate()

train()
"""


@pytest.mark.backend_independent
def test_an_iterator_yields_all_of_its_values():
    values = until_exit(lambda: iter(range(3)))
    assert [list(values()), list(values())] == [[0, 1, 2]] * 2


@pytest.mark.backend_independent
def test_functions_and_iterators_stop_when_the_interpreter_exits(monkeypatch):
    double = unless_exiting(lambda number: 2 * number)
    assert double(2) == 4
    monkeypatch.setattr(shutdown, "_is_exiting", threading.Event())
    shutdown._is_exiting.set()
    with pytest.raises(RuntimeError, match="is exiting"):
        double(2)
    assert list(until_exit(lambda: iter("ab"))()) == []


def test_an_error_ends_the_process():
    pytest.importorskip("tensorflow", reason="the datasets are TensorFlow's")
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 1
    assert "RuntimeError: out of memory" in ended.stderr
