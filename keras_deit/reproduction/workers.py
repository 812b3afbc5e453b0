"""Worker processes, one core each, which share the trainings of a study."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading

import keras

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.cores import usable_cores

COMMAND = [sys.executable, "-m", "keras_deit.reproduction"]
MAX_DEFAULT = 4  # processes, each of which needs the memory of a backend and of the dataset
ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
}


def default_number():
    """Returns the number of worker processes that a study has by default: one for each core, at most `MAX_DEFAULT`."""
    return min(usable_cores(), MAX_DEFAULT)


class WorkerError(RuntimeError):
    """A worker process ended before its training was finished."""


class Workers:
    """Worker processes, which keep their datasets in memory from one training to the next.

    Args:
        number: Number of processes.
    """

    def __init__(self, number):
        self._processes = [_start(index) for index in range(number)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.kill()
            process.wait()

    def run(self, trainings, store, progress):
        """Runs the trainings that are not finished.

        Args:
            trainings: List of `Training`. Each one comes after its teacher.
            store: `Store` of their results.
            progress: `Progress`.

        Raises:
            ValueError: If a finished training has other settings.
            WorkerError: If a worker ends with an error.
            Exception: What `progress` or the writing to a worker raises.
        """
        queue = _Queue(trainings, store)
        threads = [
            threading.Thread(target=_serve, args=(process, queue, store, progress), daemon=True)
            for process in self._processes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if queue.error:
            raise queue.error
        if queue.failed:
            raise WorkerError(
                f"A worker process ended during the training {queue.failed!r}; its error is printed above. The same command "
                "continues the study after the trainings that are finished."
            )


def _serve(process, queue, store, progress):
    """Gives a worker one training after the other."""
    for training in queue:
        try:
            if not _ask(process, training, store):
                queue.fail(training)
                return
            with queue.finishing(training):
                progress.report(training, store.figures(training.name))
        except BaseException as error:  # the thread of the caller raises it
            queue.fail(training, error)
            return


def _ask(process, training, store):
    """Lets a worker do a training; returns whether it was finished."""
    request = {"directory": str(store.directory), "training": dataclasses.asdict(training)}
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return process.stdout.readline() == "done\n"
    return False


def _start(index):
    environment = child_environment(keras.backend.backend(), **ONE_CORE)
    process = subprocess.Popen(
        COMMAND, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, {cores[index % len(cores)]})
    return process


class _Queue:
    """The trainings that are not finished, for several threads. A training waits for its teacher."""

    def __init__(self, trainings, store):
        self._pending = [training for training in trainings if not store.has(training)]
        self._unfinished = {training.name for training in self._pending}
        self._changed = threading.Condition()
        self.failed = self.error = None

    def __iter__(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.failed or not self._pending or self._ready())
                if self.failed or not self._pending:
                    return
                training = self._ready()
                self._pending.remove(training)
            yield training

    @contextlib.contextmanager
    def finishing(self, training):
        """Marks a training as finished after the block, in which no other thread reports."""
        with self._changed:
            try:
                yield
            finally:
                self._unfinished.remove(training.name)
                self._changed.notify_all()

    def fail(self, training, error=None):
        """Stops the queue; `error` is the exception that stopped it, None if the worker ended."""
        with self._changed:
            self.failed, self.error = training.name, error
            self._changed.notify_all()

    def _ready(self):
        """The first training whose teacher is finished, or None."""
        return next((one for one in self._pending if one.teacher not in self._unfinished), None)
