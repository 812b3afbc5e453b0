"""A process ends even if an error leaves a dataset running."""

import subprocess
import sys
import threading

import pytest

from keras_deit.runtime import shutdown
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


def test_an_iterator_yields_all_of_its_values():
    values = until_exit(lambda: iter(range(3)))
    assert [list(values()), list(values())] == [[0, 1, 2]] * 2


def test_functions_and_iterators_stop_when_the_interpreter_exits(monkeypatch):
    double = unless_exiting(lambda number: 2 * number)
    assert double(2) == 4
    monkeypatch.setattr(shutdown, "_is_exiting", threading.Event())
    shutdown._is_exiting.set()
    with pytest.raises(RuntimeError, match="is exiting"):
        double(2)
    assert list(until_exit(lambda: iter("ab"))()) == []


@pytest.mark.parametrize("script", [GENERATED, READ], ids=["generated", "read"])
def test_an_error_ends_the_process(script):
    pytest.importorskip("tensorflow", reason="the datasets are TensorFlow's")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "RuntimeError: out of memory" in ended.stderr
