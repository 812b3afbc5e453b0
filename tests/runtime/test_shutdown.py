"""A process ends, even where an error has left a dataset at work."""

import subprocess
import sys
import threading

import pytest

from keras_deit.runtime import shutdown as ending
from keras_deit.runtime.shutdown import unless_exiting, until_exit

GENERATED = """
import itertools, time
import numpy as np
from keras_deit.data import InputStallTimer
from keras_deit.data.pipeline.tf_data_pipeline import from_batches, timed

def stream():
    for _ in itertools.count():
        time.sleep(0.05)
        yield np.zeros((2, 8, 8, 3), "float32"), np.zeros((2, 2), "float32")

def train():
    batches = iter(timed(from_batches(stream, 2, (8, 8)), InputStallTimer()))
    next(batches)
    raise RuntimeError("out of memory")

train()
"""
READ = """
import time
import numpy as np
from keras_deit.data import InputPipeline, ImageRecords

class Records:
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        time.sleep(0.1)
        return np.zeros((8, 8, 3), "uint8"), 0

def evaluate():
    batches = iter(InputPipeline(ImageRecords("slow", Records(), ("a", "b")), (8, 8), pipeline="tf.data").evaluation(2))
    next(batches)
    raise RuntimeError("out of memory")

evaluate()
"""


def test_an_iterator_is_passed_on_whole():
    values = until_exit(lambda: iter(range(3)))
    assert [list(values()), list(values())] == [[0, 1, 2]] * 2


def test_a_function_is_called_until_the_end(monkeypatch):
    double = unless_exiting(lambda number: 2 * number)
    assert double(2) == 4
    monkeypatch.setattr(ending, "_ending", threading.Event())
    ending._ending.set()
    with pytest.raises(RuntimeError, match="is ending"):
        double(2)
    assert list(until_exit(lambda: iter("ab"))()) == []


@pytest.mark.parametrize("script", [GENERATED, READ], ids=["generated", "read"])
def test_an_error_ends_the_process(script):
    pytest.importorskip("tensorflow", reason="the datasets are TensorFlow's")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "RuntimeError: out of memory" in ended.stderr
