"""`keras-deit benchmark`: time a model, its exports, the input pipeline or the start, beside other implementations."""

import dataclasses
import json
import sys

import keras

from keras_deit.benchmark import data, exports, models, startup
from keras_deit.benchmark.device import device_name
from keras_deit.benchmark.images import FILE_SIZE
from keras_deit.benchmark.operations import operation_milliseconds
from keras_deit.benchmark.plots import draw_comparison, draw_sweep
from keras_deit.benchmark.roofline import measure_limits
from keras_deit.benchmark.setting import PipelineSetting, Setting
from keras_deit.benchmark.sweep import DIMENSIONS
from keras_deit.benchmark.table import (
    export_table,
    operation_table,
    pipeline_table,
    roofline_table,
    startup_table,
    summary_table,
    sweep_table,
)
from keras_deit.cli.benchmark_parsers import BACKENDS
from keras_deit.cli.common import reporting
from keras_deit.models import get_variant
from keras_deit.runtime.files import write_whole
from keras_deit.runtime.numpy_numbers import check_at_least
from keras_deit.runtime.optional import require


@reporting
def main(options):
    """Times models.

    Args:
        options: Namespace of its parser in `keras_deit.cli.benchmark_parsers`.

    Returns:
        The exit status: 0; 1 if a backend is not installed or its process failed; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "batch_size", "image_size", "rounds")
    dimension, settings = _settings(options)
    peers = () if dimension else tuple(options.peers)
    comparison = models.Comparison(options.rounds, peers, options.compile, options.memory)
    if options.plot is not None:  # before the measurement, which takes minutes
        require("matplotlib", extra="run", purpose="Drawing a plot")
    if options.backend in (None, keras.backend.backend()):
        status, measurements = 0, models.run(settings, comparison)
    else:
        status, measurements = _run_on_backends(options.backend, settings, comparison)
    _report(measurements, dimension, options)
    return status


@reporting
def time_data(options):
    """Times input pipelines.

    Args:
        options: Namespace of its parser in `keras_deit.cli.benchmark_parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "image_size", "batch_size", "batches", "num_workers", "rounds")
    setting = PipelineSetting(options.image_size, options.batch_size, options.batches, options.num_workers)
    results, left_out = data.run(setting, options.rounds)
    print(pipeline_table(setting, results, left_out, options.rounds, FILE_SIZE), flush=True)
    _write(results, options.output)
    if not options.no_operations:
        print()
        print(operation_table(operation_milliseconds(options.image_size)))


@reporting
def time_export(options):
    """Times exported models.

    Args:
        options: Namespace of its parser in `keras_deit.cli.benchmark_parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "image_size", "batch_size", "threads", "rounds")
    architecture = _architecture(options.variant, options.image_size)
    setting = Setting(options.variant, "inference", options.batch_size, "float32", architecture)
    seconds, left_out = exports.run(setting, options.rounds, options.threads)
    print(export_table(setting, options.threads, seconds, left_out))
    _write({"seconds": seconds, "left_out": left_out}, options.output)


@reporting
def time_startup(options):
    """Times imports and the first training step.

    Args:
        options: Namespace of its parser in `keras_deit.cli.benchmark_parsers`.

    Returns:
        The exit status: 0; 1 if a process failed; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "image_size", "batch_size", "rounds")
    architecture = _architecture(options.variant, options.image_size)
    setting = Setting(options.variant, "training", options.batch_size, "float32", architecture)
    try:
        seconds = startup.run(setting, options.rounds)
    except RuntimeError as error:
        print(f"keras-deit benchmark startup: error: {error}", file=sys.stderr)
        return 1
    print(startup_table(setting, keras.backend.backend(), seconds))
    _write(seconds, options.output)
    return 0


@reporting
def time_roofline(options):
    """Times arithmetic and memory, and prints what they allow for each part of a step.

    Args:
        options: Namespace of its parser in `keras_deit.cli.benchmark_parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "image_size", "batch_size", "rounds")
    architecture = _architecture(options.variant, options.image_size)
    setting = Setting(options.variant, options.mode, options.batch_size, options.precision, architecture)
    limits = measure_limits(setting.precision, options.rounds)
    print(roofline_table(setting, device_name(), setting.parts, *limits))


def _settings(options):
    """The dimension of a sweep or None, and the settings to measure."""
    step = {name: getattr(options, name) for name in ("variant", "batch_size", "image_size")}
    if options.sweep is None:
        dimension, steps = None, [step]
    else:
        dimension, values = _sweep(options.sweep)
        steps = [{**step, dimension: value} for value in values]
    return dimension, [_setting(options, mode, **step) for mode in dict.fromkeys(options.mode) for step in steps]


def _sweep(words):
    dimension, *values = words
    if dimension not in DIMENSIONS or len(values) < 2:
        raise ValueError(
            f"`sweep` must be one of {', '.join(DIMENSIONS)}, and at least two values. Received: sweep={' '.join(words)!r}"
        )
    if dimension == "variant":
        return dimension, values
    if not all(value.isdecimal() and int(value) for value in values):
        raise ValueError(
            f"The values of a sweep of {dimension} must be positive integers. Received: {' '.join(values)}"
        )
    return dimension, list(map(int, values))


def _setting(options, mode, variant, batch_size, image_size):
    architecture = _architecture(variant, image_size)
    return Setting(variant, mode, batch_size, options.precision, architecture, options.teacher)


def _architecture(variant, image_size):
    architecture = dict(get_variant(variant).arguments)
    architecture["image_size"] = image_size or architecture["image_size"]
    return architecture


def _report(measurements, dimension, options):
    """Prints and writes what a table of one measurement does not show."""
    _write([dataclasses.asdict(measurement) for measurement in measurements], options.output)
    if dimension:
        print(sweep_table(measurements, dimension))
    elif options.backend == "all":
        print(summary_table(measurements))
    if options.plot is not None and measurements:
        if dimension:
            draw_sweep(measurements, dimension, options.plot)
        else:
            draw_comparison(measurements, options.plot)


def _run_on_backends(backend, settings, comparison):
    status, measurements = 0, []
    for name in BACKENDS if backend == "all" else (backend,):
        try:
            measurements += models.run_in_child_process(name, settings, comparison)
        except (ImportError, RuntimeError) as error:  # the other backends are still timed
            print(f"keras-deit benchmark: error: {error}", file=sys.stderr)
            status = 1
    return status, measurements


def _check_positive(options, *names):
    given = {name: getattr(options, name) for name in names}
    check_at_least(1, **{name: value for name, value in given.items() if value is not None})


def _write(results, path):
    if path is not None:
        write_whole(path, json.dumps(results, indent=1) + "\n")
