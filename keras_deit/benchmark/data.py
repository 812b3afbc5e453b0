"""The speed of this package's input pipelines beside others, each in a process of its own, in turns."""

import dataclasses
import importlib.util
import json
import tempfile

import keras

from keras_deit.benchmark.images import write_images
from keras_deit.benchmark.pipelines import NEEDED_MODULES, PIPELINES, WARM_UP_BATCHES
from keras_deit.benchmark.timing import mean_seconds
from keras_deit.runtime.child_process import child_environment, number_of_python


def run(setting, rounds):
    """Times all pipelines whose packages are installed.

    Args:
        setting: A `PipelineSetting`.
        rounds: Number of rounds. Each round runs every pipeline once.

    Returns:
        Dictionary from names to lists of images per second, one value per round, and a dictionary from the names of the
        pipelines that could not run to the reason.

    Raises:
        ImportError: If scikit-learn or Pillow is not installed, of which the image files are made.
    """
    left_out = {
        name: f"{module} is not installed"
        for name, module in NEEDED_MODULES.items()
        if importlib.util.find_spec(module) is None
    }
    results = {name: [] for name in PIPELINES if name not in left_out}
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder)
        for _ in range(rounds):
            for name in list(results):
                try:
                    results[name].append(_run_in_child_process(name, setting, folder))
                except RuntimeError as error:
                    left_out[name] = str(error)
                    del results[name]
    return results, left_out


def images_per_second(name, setting, folder):
    """Times one pipeline in this process.

    Args:
        name: A key of `PIPELINES`.
        setting: A `PipelineSetting`.
        folder: Directory of JPEG files.

    Returns:
        Images per second, after a few batches that are not timed.
    """
    batches = iter(PIPELINES[name](setting, folder))
    for _ in range(WARM_UP_BATCHES):
        next(batches)
    return setting.batch_size / mean_seconds(lambda: next(batches), setting.num_batches)


def _run_in_child_process(name, setting, folder):
    request = {"name": name, "setting": dataclasses.asdict(setting), "folder": folder}
    arguments = ["-m", "keras_deit.benchmark", "pipeline", json.dumps(request)]
    return number_of_python(arguments, child_environment(keras.backend.backend()))
