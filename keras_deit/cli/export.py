"""`keras-deit export`: writes a model as files for other runtimes, and compares each of them with the model."""

import dataclasses

import keras

from keras_deit.cli.common import reporting
from keras_deit.cli.model_options import data_settings, load_model
from keras_deit.evaluation.prepared_images import prepared_images
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.formats import (
    CALIBRATION_IMAGES,
    check_formats,
    check_inputs,
    check_model,
    compare_exports,
    needs_calibration,
    write,
)
from keras_deit.export.profile import model_latencies, profile
from keras_deit.export.report_page import Examined, write_report
from keras_deit.export.serving import serving_model
from keras_deit.models.pretrained import STUDENT_FILE
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require
from keras_deit.training.run_directory import versions
from keras_deit.training.usable_images import explain_unreadable_images, load_images

MAX_BYTES = 2**28  # of the compared images: more than 400 of 224 pixels
DIRECTORY = "exports"


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 1 if an export does not keep what it must keep of the model; 2 for bad input; 130 after Ctrl-C.
    """
    _check(options)
    model = load_model(options, any_keras_model=True)
    check_model(model, options.format)
    images, labels = _images(options, model) if options.dataset else (None, None)
    calibration = _calibration(options, model) if needs_calibration(options.format) else None
    directory = user_path(options.output or _default_directory(options.weights))
    arguments = {"overwrite": options.overwrite, "inputs": options.inputs, "calibration": calibration}
    paths = {name: _write(model, name, directory, arguments) for name in options.format}
    if images is None:
        print("The exports were not compared with the model: --data names images for that.")
        return 0
    exports = {name: ExportedModel(path) for name, path in paths.items()}
    reports = compare_exports(model, exports, images, labels, options.tolerance)
    print("\n".join(map(str, reports)), flush=True)
    if options.report:
        print(f"Report: {_write_report(options, model, exports, reports, images, directory)}")
    return 0 if all(report.agrees for report in reports) else 1


def _check(options):
    """Checks before anything long begins what would fail later, and merges the two ways to name the weights."""
    if (options.source is None) == (options.weights is None):
        raise ValueError(
            "Pass the run or the weights to export once: `keras-deit export RUN_OR_WEIGHTS`, or --weights."
        )
    options.weights = options.weights or options.source
    if not options.format:
        raise ValueError("--format must name at least one format.")
    check_formats(options.format)
    check_inputs(options.inputs, options.format)
    if needs_calibration(options.format) and not options.dataset:
        raise ValueError("litert:int8 needs --data, whose training split has the images for the calibration.")
    if options.tolerance is not None and not options.tolerance >= 0:
        raise ValueError(f"--tolerance must be at least 0. Received: --tolerance {options.tolerance}")
    for name in ("report", "tolerance"):
        if getattr(options, name) and not options.dataset:
            raise ValueError(f"--{name} needs --data, images to compare the exports with the model on.")
    if options.report:
        require("matplotlib.figure", extra="run", purpose="Drawing the report")


def _default_directory(weights):
    """The directory of a run, in which `keras-deit train --export` writes as well."""
    return weights if (user_path(weights) / STUDENT_FILE).exists() else DIRECTORY


def _images(options, model):
    """Prepares the images of the comparison; returns them with their labels."""
    settings = data_settings(options, model)
    return _prepared(model, settings, load_images(settings, "test").data)


def _calibration(options, model):
    """Prepares some images of the training split, without a check of the others."""
    settings = dataclasses.replace(data_settings(options, model), check_images=False)
    images, _ = _prepared(model, settings, load_images(settings, "train").data.evenly_spaced(CALIBRATION_IMAGES))
    return images


def _prepared(model, settings, data):
    with explain_unreadable_images(lambda: [(data, None)]):
        return prepared_images(model, data, MAX_BYTES, settings.pipeline, settings.num_workers)


def _write(model, name, directory, arguments):
    try:
        path = write(model, name, directory, **arguments)
    except RuntimeError as error:  # of the conversion, which the user can correct
        raise ValueError(f"The export to {name} failed. {error}") from error
    print(f"Written: {path}", flush=True)
    return path


def _write_report(options, model, exports, reports, images, directory):
    examined = [
        Examined(report, profile(exports[report.format], images[0]), exports[report.format].metadata)
        for report in reports
    ]
    facts = {
        "weights": str(options.weights),
        "dataset": options.dataset,
        "images": len(images),
        "backend": keras.backend.backend(),
        "cores": usable_cores(),
        "versions": versions(),
    }
    return write_report(directory, examined, model_latencies(serving_model(model), images[0]), facts)
