"""Batches that the worker processes of Grain make."""

import itertools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import pytest

from keras_deit.data import ImageRecords
from keras_deit.data.pipeline.grain_pipeline import training_stream
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from keras_deit.runtime.child_process import child_environment, run_python
from keras_deit.runtime.stop_signals import KINDS
from tests.data.pipeline.first_batches import assert_equal, input_pipeline, skip_without, take

grain = pytest.importorskip("grain", reason="Grain makes the batches")
SCRIPT = """
import os
from keras_deit.data.pipeline.grain_pipeline import training_stream
from keras_deit.data.pipeline.sampling_plan import SamplingPlan

with open({log!r}, "a") as log:
    print("the script runs", file=log)


class Squares:  # the worker gets the class, which no module has that it could import
    plan = SamplingPlan(10, 4, (8, 8))

    def batch(self, epoch, index, empty):
        return index**2, os.getpid()


batches = iter(training_stream(Squares(), num_workers=2))
received = [next(batches) for _ in range(3)]
assert os.getpid() not in [process for _, process in received]
print([square for square, _ in received])
"""
KILLED = SCRIPT + "print(*[process for _, process in received[:2]], flush=True)\nos.kill(os.getpid(), {kind})\n"
PATIENCE = 60.0  # seconds


def test_worker_processes_change_no_batch_and_live_on_after_the_signals_that_stop_a_run(image_files, first_batches):
    skip_without("grain")
    batches = iter(input_pipeline(image_files, "grain", num_workers=2).training_batches(batch=1))
    received = take(batches, 2)  # one of each worker
    workers = multiprocessing.active_children()
    assert workers
    if os.name != "nt":  # Windows sends no signals to other processes
        for worker, kind in itertools.product(workers, KINDS):  # as terminals and job schedulers do
            os.kill(worker.pid, kind)
    assert_equal([*received, *take(batches, 20)][:5], first_batches("python")[1:6])
    assert all(worker.is_alive() for worker in workers)


def test_without_workers_the_batches_are_made_in_this_process():
    class Positions:
        plan = SamplingPlan(10, 4, (8, 8))

        def batch(self, epoch, index, empty):
            return os.getpid(), epoch, index

    received = take(training_stream(Positions(), epoch=1, batch=1, num_workers=0), 3)
    assert received == [(os.getpid(), 1, 1), (os.getpid(), 2, 0), (os.getpid(), 2, 1)]


def test_a_dataset_of_grain_serves_as_records(image_files, first_batches):
    dataset = grain.MapDataset.source(list(range(24))).map(lambda index: image_files[index])
    records = ImageRecords("mine", dataset, image_files.class_names)
    assert_equal(take(input_pipeline(records, "python").training_batches(), 3), first_batches("python")[:3])


@pytest.mark.backend_independent
def test_workers_do_not_run_a_script_again_that_has_no_main_guard(tmp_path):
    script, log = tmp_path / "script.py", tmp_path / "log.txt"
    script.write_text(SCRIPT.format(log=str(log)))
    last_line = run_python([str(script)], child_environment(keras.backend.backend()))
    assert last_line == "[0, 1, 0]"
    assert log.read_text() == "the script runs\n"


@pytest.mark.backend_independent
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the state of processes is read as on Linux")
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    script, printed = tmp_path / "script.py", tmp_path / "printed.txt"
    script.write_text(KILLED.format(log=str(tmp_path / "log.txt"), kind=int(signal.SIGKILL)))
    environment = child_environment(keras.backend.backend())
    with printed.open("w") as output:  # a pipe would stay open as long as a worker lives
        ended = subprocess.run([sys.executable, str(script)], env=environment, stdout=output)
    assert ended.returncode == -signal.SIGKILL
    workers = [int(process) for process in printed.read_text().splitlines()[-1].split()]
    assert len(set(workers)) == 2
    end = time.monotonic() + PATIENCE
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(is_running, workers))


def is_running(process):
    """Whether there is a process of this number that has not ended; one that nobody has waited for has ended."""
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
