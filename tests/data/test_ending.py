"""A process ends, even where an error has left a dataset at work."""

import subprocess
import sys

import pytest

from keras_deit.data.ending import until_exit

SCRIPT = """
import itertools, time
import numpy as np
from keras_deit.data import Waiting
from keras_deit.data.tensorflow_pipeline import from_batches, timed

def stream():
    for _ in itertools.count():
        time.sleep(0.05)
        yield np.zeros((2, 8, 8, 3), "float32"), np.zeros((2, 2), "float32")

def train():
    batches = iter(timed(from_batches(stream, 2, (8, 8)), Waiting()))
    next(batches)
    raise RuntimeError("out of memory")

train()
"""


def test_an_iterator_is_passed_on_whole():
    values = until_exit(lambda: iter(range(3)))
    assert [list(values()), list(values())] == [[0, 1, 2]] * 2


def test_an_error_ends_the_process():
    pytest.importorskip("tensorflow", reason="the datasets are TensorFlow's")
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "RuntimeError: out of memory" in ended.stderr
