"""The peak memory of one step, in a process of its own.

The peak of a process that times several models in turns belongs to all of them, and JAX cannot reset the peak of a GPU.
"""

import dataclasses
import importlib
import json

import keras

from keras_deit.benchmark.peers import PEERS, implementations
from keras_deit.runtime.child_process import child_environment, number_of_python
from keras_deit.runtime.devices import peak_memory

STEPS = 3


def peak_of(name, setting):
    """Builds an implementation, runs a few steps, and returns the memory that they added to the peak of this process.

    Args:
        name: A name of `keras_deit.benchmark.peers.implementations`; all peers are known, also those that are compiled.
        setting: A `Setting`.

    Returns:
        Bytes: on a GPU the memory that the backend allocated there, otherwise the memory of the process beyond the
        packages, which are imported before.

    Raises:
        ImportError: If the package is not installed.
    """
    implementation = implementations(setting, PEERS, compiled=True)[name]
    importlib.import_module(implementation.package)
    before = peak_memory()
    implementation.build(setting)(STEPS)
    return peak_memory() - before


def peak_in_child_process(name, setting):
    """Does the same as `peak_of` in a process of its own, with the active backend.

    Args:
        name, setting: As for `peak_of`.

    Returns:
        Bytes, as for `peak_of`.

    Raises:
        RuntimeError: If the process fails. The message is the last line of its error output.
    """
    request = json.dumps({"name": name, "setting": dataclasses.asdict(setting)})
    arguments = ["-m", "keras_deit.benchmark", "memory", request]
    return int(number_of_python(arguments, child_environment(keras.backend.backend())))
