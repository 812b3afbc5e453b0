"""`keras-deit export`: writes a model as files for other runtimes, and compares each of them with the model."""

import contextlib
import dataclasses

import keras
import numpy as np

from keras_deit.cli.common import reporting
from keras_deit.cli.model_options import data_settings, load_model
from keras_deit.evaluation.prepared_images import (
    UNKNOWN_PREPARATION,
    classes_of,
    knows_preparation,
    prepared_images,
)
from keras_deit.export.exported_model import CHUNK, SAVED_MODEL, ExportedModel
from keras_deit.export.formats import (
    CALIBRATION_IMAGES,
    FORMATS,
    check_formats,
    check_inputs,
    check_model,
    compare_exports,
    needs_calibration,
    write,
)
from keras_deit.export.metadata import sidecar
from keras_deit.export.profile import model_latencies, profile
from keras_deit.export.report import images_of, model_logits
from keras_deit.export.report_page import REPORT_FILES, Examined, write_report
from keras_deit.export.serving import serving_model
from keras_deit.export.signatures import BYTES, NORMALIZED
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.pretrained import STUDENT_FILE
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require
from keras_deit.runtime.progress_bar import progress_bar
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
    _check_preparation(options, model)
    images, labels = _images(options, model) if options.dataset else (None, None)
    calibration = _calibration(options, model) if needs_calibration(options.format) else None
    directory = _directory(options)
    arguments = {"overwrite": options.overwrite, "inputs": options.inputs, "calibration": calibration}
    paths = {name: _write(model, name, directory, arguments) for name in options.format}
    if images is None:
        print("The exports were not compared with the model: --data names images for that.")
        return 0
    with _explaining("The comparison of the exports with the model failed."):
        exports = {name: ExportedModel(path) for name, path in paths.items()}
        with progress_bar((1 + len(exports)) * len(images), "comparing the exports", "images") as bar:
            reports = compare_exports(model, exports, images, labels, options.tolerance, bar.update)
        reports = [_with_preparation(options, model, exports[report.format], images, report) for report in reports]
    print("\n".join(map(str, reports)), flush=True)
    if options.report:
        with _explaining("The measurement for the report failed."):
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
    options.format = list(dict.fromkeys(options.format))
    check_formats(options.format)
    check_inputs(options.inputs, options.format)
    if needs_calibration(options.format) and not options.dataset:
        raise ValueError("litert:int8 needs --data, whose training split has the images for the calibration.")
    if options.tolerance is not None and not options.tolerance >= 0:
        raise ValueError(f"--tolerance must be at least 0. Received: --tolerance {options.tolerance}")
    if options.max_images is not None and options.max_images < 1:
        raise ValueError(f"--max-images must be at least 1. Received: --max-images {options.max_images}")
    given = {"report": options.report or None, "tolerance": options.tolerance, "max-images": options.max_images}
    for name, value in given.items():
        if value is not None and not options.dataset:
            raise ValueError(f"--{name} needs --data, images to compare the exports with the model on.")
    if options.report:
        require("matplotlib.figure", extra="run", purpose="Drawing the report")
    _check_destinations(options)


def _check_destinations(options):
    directory = _directory(options)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"--output must be a directory. Received: the file {str(directory)!r}")
    taken = [str(path) for path in _written_files(options, directory) if path.exists()]
    if taken and not options.overwrite:
        raise FileExistsError(
            f"Expected an output directory without earlier files of this command. Already there: {', '.join(taken)}. "
            "Choose another --output, or pass --overwrite to replace them."
        )


def _written_files(options, directory):
    for name in options.format:
        path = directory / FORMATS[name].file_name
        yield path
        if path.suffix == ".tflite":
            yield sidecar(path)
        if path.suffix == ".xml":
            yield path.with_suffix(".bin")
    if options.report:
        yield from (directory / name for name in REPORT_FILES)


def _check_preparation(options, model):
    """Refuses what needs the preparation of images, for a model that does not store it."""
    if knows_preparation(model):
        return
    received = f"Received: {options.weights!r}, which is no model of this package and stores no preparation."
    if options.inputs != NORMALIZED:
        raise ValueError(
            f"--inputs {options.inputs} needs a model that stores how its images are prepared. {received} Export it with "
            "--inputs normalized. In Python, `keras_deit.export.to_saved_model` takes the preparation as an argument."
        )
    if needs_calibration(options.format):
        raise ValueError(
            "litert:int8 is calibrated on prepared images, so it needs a model that stores how its images are prepared. "
            f"{received} Export it to litert:dynamic_int8. In Python, `keras_deit.export.to_litert` takes the prepared "
            "images as an argument."
        )


def _directory(options):
    return user_path(options.output or _default_directory(options.weights))


def _default_directory(weights):
    """The directory of a run, in which `keras-deit train --export` writes as well."""
    return weights if (user_path(weights) / STUDENT_FILE).exists() else DIRECTORY


def _images(options, model):
    """Prepares the images of the comparison; returns them with their labels."""
    settings = data_settings(options, model)
    data = load_images(settings, "test").data
    classes = classes_of(model, data)
    chosen = data if options.max_images is None else data.evenly_spaced(options.max_images)
    images, labels = _prepared(model, settings, chosen, classes)
    for line in (classes and classes.note, None if knows_preparation(model) else UNKNOWN_PREPARATION):
        if line:
            print(line, flush=True)
    return images, labels


def _calibration(options, model):
    """Prepares some images of the training split, without a check of the others."""
    settings = dataclasses.replace(data_settings(options, model), check_images=False)
    data = load_images(settings, "train").data.evenly_spaced(CALIBRATION_IMAGES)
    images, _ = _prepared(model, settings, data)
    print(f"Calibration of the int8 file: {len(images):,} training images of {options.dataset!r}", flush=True)
    return images


def _prepared(model, settings, data, classes=None):
    with explain_unreadable_images(lambda: [(data, None)]):
        return prepared_images(model, data, MAX_BYTES, settings.pipeline, settings.num_workers, classes)


def _write(model, name, directory, arguments):
    with _explaining(f"The export to {name} failed."):
        path = write(model, name, directory, **arguments)
    print(f"Written: {path}", flush=True)
    return path


@contextlib.contextmanager
def _explaining(what):
    """Turns an error of a conversion or of a runtime, which the user can correct, into one that the command prints."""
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"{what} {error}") from error


def _with_preparation(options, model, exported, images, report):
    """Compares the preparation in a SavedModel of pixels as well, and adds the result to the report."""
    if exported.format != SAVED_MODEL or options.inputs == NORMALIZED:
        return report
    if options.inputs == BYTES:
        print(
            f"{exported.path}: the logits of `serve_images` are compared with the model. The preparation of image files in "
            "`serving_default` is not compared.",
            flush=True,
        )
        return report
    difference = _difference_from_pixels(model, exported, images)
    print(f"{exported.path}: logits of `serving_default`, from pixels, differ by at most {difference:.1e}", flush=True)
    return dataclasses.replace(
        report,
        largest_difference=float(np.maximum(report.largest_difference, difference)),  # NaN if one is NaN
        agrees=report.agrees and difference <= report.limits.difference,
    )


def _difference_from_pixels(model, exported, images):
    """The largest difference of logits if the model's processor and the SavedModel each prepare the same pixels."""
    served = serving_model(model)
    pixels = (model.preprocessing or Preprocessing()).undo_normalisation(images)
    expected = model_logits(served, images_of(served, model.image_processor()(pixels)))
    chunks = (pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK))
    return float(np.abs(expected - np.concatenate(list(map(exported.runtime.run_pixels, chunks)))).max())


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
