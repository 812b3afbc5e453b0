"""`keras-deit evaluate`: evaluates a model on labelled images."""

from keras_deit.choices import EVALUATION_FILES, SPLITS
from keras_deit.cli.common import reporting
from keras_deit.cli.model_options import data_settings, given_preparation, load_model_or_export
from keras_deit.cli.parsers import ALL
from keras_deit.data.sources.labelled_images import JoinedSplits
from keras_deit.evaluation.evaluate import Evaluator
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require
from keras_deit.training.run_directory import CONFIG, SUMMARY, versions
from keras_deit.training.run_report import write_again
from keras_deit.training.usable_images import explain_unreadable_images, load_images

TEST = "test"  # split


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    if options.mistakes < 0:
        raise ValueError(f"--mistakes must be at least 0. Received: --mistakes {options.mistakes}")
    if options.output:
        _check_output(user_path(options.output))
    run = _run_directory(options) if options.report else None
    model = load_model_or_export(options, any_keras_model=True)
    settings = data_settings(options, model, config=run and run / CONFIG)
    splits = SPLITS if options.split == ALL else [options.split]
    loaded = {split: load_images(settings, split) for split in splits}
    data = {split: images.data for split, images in loaded.items()}
    if run:
        path, evaluation = write_again(run, settings, model, data[TEST], **_inputs(options, settings))
    else:
        path, evaluation = None, _evaluate(options, settings, model, data)
    if evaluation:
        print(evaluation.describe(options.mistakes))
    if evaluation and options.output:
        skipped = {split: images.skipped for split, images in loaded.items()}
        facts = {"weights": options.weights, "split": options.split, "skipped": skipped, "versions": versions()}
        print(f"\nWritten: {', '.join(EVALUATION_FILES)} in {evaluation.write(options.output, **facts)}")
    if path:
        print(f"\nReport: {path}")


def _run_directory(options):
    """The directory of the run that --weights names, for its report."""
    directory = user_path(options.weights)
    if not (directory / SUMMARY).is_file():
        raise ValueError(
            "--report writes the report of a run, so --weights must be the output directory of a run that has ended. "
            f"Received: --weights {options.weights}"
        )
    if options.split != TEST:
        raise ValueError(f"--report is about the test split. Received: --split {options.split}. Leave --split out.")
    return directory


def _check_output(directory):
    """Checks before anything long begins what would fail at the end."""
    require("matplotlib.figure", extra="run", purpose="Drawing the confusion matrix")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"--output must be a directory. Received: the file {str(directory)!r}")


def _evaluate(options, settings, model, splits):
    data = splits[options.split] if options.split in splits else JoinedSplits(splits)
    evaluator = Evaluator(model, data, **_inputs(options, settings))
    with explain_unreadable_images(lambda: [(data, evaluator.images_in_use)]):
        return evaluator.run()


def _inputs(options, settings):
    """The arguments of the evaluation that say how the images are read and prepared."""
    inputs = {"pipeline": settings.pipeline, "num_workers": settings.num_workers, "image_size": options.image_size}
    return {**inputs, **given_preparation(options)}
