"""The time that starting takes: imports, the help of the command, and the first training step."""

import dataclasses
import json
import tempfile
import time

import keras

from keras_deit.benchmark.peers import our_step
from keras_deit.runtime.child_process import child_environment, run_python

FIRST_STEP, SECOND_START = "first training step", "first training step, compiled before"
_HELP = "import sys; sys.argv = ['keras-deit', '--help']; from keras_deit.cli import main; main()"


def run(setting, rounds):
    """Times whole processes with the active backend, one after the other.

    Args:
        setting: A `Setting` of training.
        rounds: Number of rounds. Each round starts every process once.

    Returns:
        Dictionary from names to lists of seconds from the start of the process to its end, one value per round. On JAX, the
        last name is that of a process that finds the compiled step in the compilation cache.

    Raises:
        RuntimeError: If a process fails; the message ends in the last line of its error output.
    """
    request = json.dumps(dataclasses.asdict(setting))
    commands = {
        "import keras": ["-c", "import keras"],
        "import keras_deit": ["-c", "import keras_deit"],
        "keras-deit --help": ["-c", _HELP],
        FIRST_STEP: ["-m", "keras_deit.benchmark", "first_step", request],
    }
    environments = dict.fromkeys(commands, child_environment(keras.backend.backend(), **_without_cache()))
    with tempfile.TemporaryDirectory() as cache:
        if keras.backend.backend() == "jax":
            commands[SECOND_START] = commands[FIRST_STEP]
            environments[SECOND_START] = child_environment("jax", **_with_cache(cache))
        for name, command in commands.items():  # reads the files from the disk, and fills the cache
            _seconds_of(command, environments[name])
        seconds = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                seconds[name].append(_seconds_of(command, environments[name]))
    return seconds


def first_step(setting):
    """Builds this package's model and trains it for one step, in this process.

    Args:
        setting: A `Setting` of training.

    Returns:
        The loss.
    """
    return our_step(setting)()


def _without_cache():
    return {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def _with_cache(folder):
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _seconds_of(arguments, environment):
    start = time.perf_counter()
    try:
        run_python(arguments, environment)
    except RuntimeError as error:
        raise RuntimeError(f"Starting failed: {error}") from error
    return time.perf_counter() - start
