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

from keras_deit.benchmark.device import device_name
from keras_deit.benchmark.measurement import Measurement, Timing
from keras_deit.benchmark.memory import peak_in_child_process
from keras_deit.benchmark.peers import COMPILED, OURS, implementations
from keras_deit.benchmark.roofline import matrix_size
from keras_deit.benchmark.steps import forget_compiled_functions, matrix_product_step
from keras_deit.benchmark.table import model_table
from keras_deit.benchmark.timing import seconds_in_turns
from keras_deit.runtime.child_process import child_environment

FAILURES_OF_PEERS = Exception  # another package or a compiler may raise any; the table gives the reason
MATRIX_PRODUCT = "matrix product"
WITHOUT_EXTRA = ("timm", "torchvision")  # timm installs torchvision too


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How settings are measured.

    Attributes:
        rounds: Number of rounds. Each round times every implementation once.
        peers: Names out of `keras_deit.choices.PEERS`.
        compiled: As for `keras_deit.benchmark.peers.implementations`.
        memory: Whether the peak memory of each implementation is measured as well.
    """

    rounds: int
    peers: tuple = ()
    compiled: bool = False
    memory: bool = False


def run(settings, comparison):
    """Times several settings on the active backend, and prints a table of each as soon as it is measured.

    Args:
        settings: List of `Setting`.
        comparison: A `Comparison`.

    Returns:
        A list of `Measurement`, one per setting.
    """
    # Before this process uses the device: TensorFlow and JAX reserve nearly all memory of a GPU.
    memories = [_memories(setting, comparison) if comparison.memory else {} for setting in settings]
    measurements = []
    for setting, memory in zip(settings, memories, strict=True):
        measurements.append(measure(setting, comparison, memory))
        print(model_table(measurements[-1]), flush=True)
    return measurements


def measure(setting, comparison, memory=None):
    """Times this package's model, its peers and a large matrix product in turns on the active backend.

    Args:
        setting: A `Setting`.
        comparison: A `Comparison`.
        memory: Dictionary from names of implementations to their peak memory in bytes; None means that it is unknown.

    Returns:
        A `Measurement`.
    """
    chosen, memory = implementations(setting, comparison.peers, comparison.compiled), memory or {}
    if any(name.endswith(COMPILED) for name in chosen):
        forget_compiled_functions()
    builds = {name: functools.partial(implementation.build, setting) for name, implementation in chosen.items()}
    size = matrix_size()
    steps = {MATRIX_PRODUCT: _warmed_up(matrix_product_step(setting.precision, size))}
    # Failures of this package are errors, unless a compiler does not support what is asked for.
    required = [name for name, one in chosen.items() if one.package == OURS and not name.endswith(COMPILED)]
    steps |= {name: _warmed_up(builds.pop(name)()) for name in required}
    others, left_out = build_steps(builds)
    seconds = seconds_in_turns(steps | others, comparison.rounds)
    matrix_product = Timing(MATRIX_PRODUCT, seconds.pop(MATRIX_PRODUCT), 2 * size**3)
    timings = [
        Timing(name, times, chosen[name].flops, chosen[name].package != OURS, memory.get(name))
        for name, times in seconds.items()
    ]
    return Measurement(setting, keras.backend.backend(), device_name(), timings, matrix_product, left_out)


def _memories(setting, comparison):
    """The peak memory of each implementation in bytes, by name; of those that are installed and do not fail."""
    peaks = {}
    for name, implementation in implementations(setting, comparison.peers, comparison.compiled).items():
        if importlib.util.find_spec(implementation.package) is None:
            continue
        try:
            peaks[name] = peak_in_child_process(name, setting)
        except RuntimeError as error:
            print(f"The memory of {name} is unknown: {error}", file=sys.stderr)
    return peaks


def run_in_child_process(backend, settings, comparison):
    """Does the same as `run` with another backend, in a process of its own.

    Args:
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        settings, comparison: As for `run`.

    Returns:
        What `run` returns.

    Raises:
        ImportError: If the backend is not installed; the message names the extra.
        RuntimeError: If the process fails. Its error output has been printed by then.
    """
    if importlib.util.find_spec(backend) is None:
        raise ImportError(f"{backend} is not installed. Install it with: pip install 'keras-deit[{backend}]'")
    request = {
        "settings": [dataclasses.asdict(setting) for setting in settings],
        "comparison": dataclasses.asdict(comparison),
    }
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder, "results.json")
        command = [sys.executable, "-m", "keras_deit.benchmark", "models", json.dumps(request), str(results)]
        status = subprocess.run(command, env=child_environment(backend)).returncode
        if status:
            raise RuntimeError(f"The benchmark's process with {backend} failed with exit status {status}.")
        return [Measurement.from_dict(result) for result in json.loads(results.read_text(encoding="utf-8"))]


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
            left_out[name] = f"{type(error).__name__}: {' '.join(str(error).split())}{_hint(error)}"
    return steps, left_out


def _hint(error):
    if not isinstance(error, ModuleNotFoundError):
        return ""
    package = "timm" if error.name in WITHOUT_EXTRA else "'keras-deit[benchmark]'"
    return f" (pip install {package})"


def _warmed_up(step):
    for _ in range(2):  # the first call compiles, the second fills the caches
        step()
    return step
