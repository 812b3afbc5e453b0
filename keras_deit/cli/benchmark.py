"""`keras-deit benchmark`: time a model, its exports, or the input pipeline, beside other implementations."""

import json
import sys

import keras

from keras_deit.benchmark import data, exports, models
from keras_deit.benchmark.images import FILE_SIZE
from keras_deit.benchmark.operations import operation_milliseconds
from keras_deit.benchmark.setting import PipelineSetting, Setting
from keras_deit.benchmark.table import export_table, operation_table, pipeline_table
from keras_deit.cli.common import reporting
from keras_deit.cli.parsers import BACKENDS, MODES
from keras_deit.models import get_variant
from keras_deit.runtime.files import write_whole
from keras_deit.runtime.numpy_numbers import check_at_least


@reporting
def main(options):
    """Times models.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 1 if a backend is not installed or its process failed; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "batch_size", "image_size", "rounds")
    settings = _settings(options)
    if options.backend in (None, keras.backend.backend()):
        status, results = 0, models.run(settings, options.rounds, options.peers)
    else:
        status, results = _run_on_backends(settings, options)
    _write(results, options.output)
    return status


@reporting
def time_data(options):
    """Times input pipelines.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

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
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    _check_positive(options, "image_size", "batch_size", "threads", "rounds")
    setting = Setting(options.variant, "inference", options.batch_size, "float32", _architecture(options))
    seconds, left_out = exports.run(setting, options.rounds, options.threads)
    print(export_table(setting, options.threads, seconds, left_out))
    _write({"seconds": seconds, "left_out": left_out}, options.output)


def _settings(options):
    architecture = _architecture(options)
    modes = MODES if options.mode == "both" else (options.mode,)
    return [Setting(options.variant, mode, options.batch_size, options.precision, architecture) for mode in modes]


def _architecture(options):
    architecture = dict(get_variant(options.variant).arguments)
    architecture["image_size"] = options.image_size or architecture["image_size"]
    return architecture


def _run_on_backends(settings, options):
    status, results = 0, []
    for backend in BACKENDS if options.backend == "all" else (options.backend,):
        try:
            results += models.run_in_child_process(backend, settings, options.rounds, options.peers)
        except (ImportError, RuntimeError) as error:  # the other backends are still timed
            print(f"keras-deit benchmark: error: {error}", file=sys.stderr)
            status = 1
    return status, results


def _check_positive(options, *names):
    given = {name: getattr(options, name) for name in names}
    check_at_least(1, **{name: value for name, value in given.items() if value is not None})


def _write(results, path):
    if path is not None:
        write_whole(path, json.dumps(results, indent=1) + "\n")
