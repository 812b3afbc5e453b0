"""The speed of a model beside its peers, on the active backend or on another one in a child process."""

import dataclasses
import functools
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np

from keras_deit.benchmark.device import device_name
from keras_deit.benchmark.peers import OURS, builders, our_step
from keras_deit.benchmark.table import model_table
from keras_deit.benchmark.timing import seconds_in_turns
from keras_deit.runtime.child_process import child_environment

FAILURES_OF_PEERS = (AttributeError, ImportError, RuntimeError, TypeError, ValueError)


@dataclasses.dataclass(frozen=True)
class Timing:
    """The step times of one implementation.

    Attributes:
        name: Name of the implementation.
        seconds: List of mean seconds per step, one value per round.
        ratios: List of the same times divided by this package's time in the same round. Above 1, this package is faster.
    """

    name: str
    seconds: list
    ratios: list


def measure(setting, rounds, peers=()):
    """Times this package's model and its peers in turns on the active backend.

    Args:
        setting: A `Setting`.
        rounds: Number of rounds.
        peers: Names out of `keras_deit.choices.PEERS`.

    Returns:
        A list of `Timing`, this package's first, and a dictionary from the names of the peers that could not run to the
        reason.
    """
    our_steps = {OURS: _warmed_up(our_step(setting))}  # the package's own failures are errors
    steps, left_out = build_steps({name: functools.partial(build, setting) for name, build in builders(peers).items()})
    seconds = seconds_in_turns(our_steps | steps, rounds)
    ours = np.array(seconds[OURS])
    return [Timing(name, times, (np.array(times) / ours).tolist()) for name, times in seconds.items()], left_out


def run(settings, rounds, peers):
    """Times several settings on the active backend, and prints a table of each as soon as it is measured.

    Args:
        settings: List of `Setting`.
        rounds: Number of rounds.
        peers: Names out of `keras_deit.choices.PEERS`.

    Returns:
        A list of dictionaries, one per setting, with everything that was measured; JSON can hold it.
    """
    backend, device, results = keras.backend.backend(), device_name(), []
    for setting in settings:
        timings, left_out = measure(setting, rounds, peers)
        print(model_table(setting, timings, left_out, backend, device), flush=True)
        results.append(
            {
                **dataclasses.asdict(setting),
                "backend": backend,
                "device": device,
                "timings": [dataclasses.asdict(timing) for timing in timings],
                "left_out": left_out,
            }
        )
    return results


def run_in_child_process(backend, settings, rounds, peers):
    """Does the same as `run` with another backend, in a process of its own.

    Args:
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        settings, rounds, peers: As for `run`.

    Returns:
        What `run` returns.

    Raises:
        ImportError: If the backend is not installed; the message names the extra.
        RuntimeError: If the process fails. Its error output has been printed by then.
    """
    if importlib.util.find_spec(backend) is None:
        raise ImportError(f"{backend} is not installed. Install it with: pip install 'keras-deit[{backend}]'")
    request = {"settings": list(map(dataclasses.asdict, settings)), "rounds": rounds, "peers": list(peers)}
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder, "results.json")
        command = [sys.executable, "-m", "keras_deit.benchmark", "models", json.dumps(request), str(results)]
        status = subprocess.run(command, env=child_environment(backend)).returncode
        if status:
            raise RuntimeError(f"The benchmark's process with {backend} failed with exit status {status}.")
        return json.loads(results.read_text(encoding="utf-8"))


def build_steps(builders, failures=FAILURES_OF_PEERS):
    """Builds steps and runs each of them twice.

    Args:
        builders: Dictionary from names to functions without arguments that return a step.
        failures: The errors for which a step is left out: an exception class or a tuple of them. Other errors are raised.

    Returns:
        Dictionary from names to steps, and a dictionary from the names of those that could not run to the reason.
    """
    steps, left_out = {}, {}
    for name, build in builders.items():
        try:
            steps[name] = _warmed_up(build())
        except failures as error:
            hint = " (pip install 'keras-deit[benchmark]')" if isinstance(error, ModuleNotFoundError) else ""
            left_out[name] = f"{type(error).__name__}: {' '.join(str(error).split())}{hint}"
    return steps, left_out


def _warmed_up(step):
    for _ in range(2):  # the first call compiles, the second fills the caches
        step()
    return step
