"""`keras-deit train`: distil a student from a teacher."""

import argparse
import contextlib
import pathlib
import sys

from keras_deit import recipes
from keras_deit.cli.common import INTERRUPTED
from keras_deit.data import KINDS, LOST, PIPELINES
from keras_deit.models import list_variants
from keras_deit.training import output
from keras_deit.training.build import build
from keras_deit.training.report import describe, how_to_go_on
from keras_deit.training.run import announce, check_ready, dry_run, train
from keras_deit.training.settings import DISTILLATIONS, OFF, PRECISIONS, resolve
from keras_deit.training.strategy import STRATEGIES, place

DESCRIPTION = """\
Train a DeiT student from labels and a teacher. With no --dataset it learns the handwritten digits that scikit-learn
ships (8×8 pixels); without --teacher a small convnet is trained first and kept for the next run. The backend is that of
KERAS_BACKEND. What is not given comes from --config, then from the recipe."""

_NOT_SETTINGS = ("output_dir", "resume", "config", "dry_run")


def add_options(parser):
    """Adds the options of the command, in groups."""
    group = parser.add_argument_group("model")
    names = ", ".join(row["name"] for row in list_variants() if row["family"] == "deit")
    group.add_argument("--variant", help=f"the one thing that has to be said, here or in --config: {names}")
    group.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the images; default: the recipe's or the digits'")
    group.add_argument(
        "--weights",
        metavar="NAME",
        help="trained weights to begin with: a preset, hf://owner/repository, a .safetensors or .pth file, or a .keras model",
    )
    group.add_argument(
        "--patch-size", type=int, metavar="PIXELS", help="side of a patch; default: one that suits the image size"
    )
    group.add_argument("--precision", choices=tuple(PRECISIONS), help="default: float32; the others are mixed")

    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        help="a folder of class folders, a CSV file with the columns path and label, or a name of TFDS such as imagenet2012; "
        "default: digits",
    )
    group.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its datasets")
    group.add_argument(
        "--class-names", type=_class_names, metavar="FILE", help="one name a line, in the order of the labels"
    )
    group.add_argument(
        "--validated", metavar="FILE", help="a report of keras-deit validate-data, instead of reading every picture first"
    )
    group.add_argument(
        "--check-images", action=argparse.BooleanOptionalAction, help="whether every picture is read first; default: yes"
    )
    group.add_argument(
        "--skip-images", type=_names, metavar="KINDS", help=f"what is left out, of {','.join(KINDS)}; default: {','.join(LOST)}"
    )
    group.add_argument("--max-skipped", type=float, metavar="SHARE", help="that may be left out; default: 0.05")
    group.add_argument(
        "--pipeline", choices=PIPELINES, help="tf.data: threads; grain: processes, without TensorFlow; default: auto"
    )
    group.add_argument(
        "--num-workers", type=int, metavar="N", help="threads or processes that make batches; default: one a core"
    )

    group = parser.add_argument_group("augmentation", "Default: the recipe's.")
    group.add_argument("--crop-scale", type=_numbers_or_none, metavar="LOW,HIGH", help="share of a random crop, or none")
    group.add_argument("--flip", type=float, metavar="P", help="probability of turning left and right round")
    group.add_argument("--auto-augment", metavar="POLICY", help="rand-m9-mstd0.5-inc1, 3-augment or none")
    group.add_argument("--color-jitter", type=float, metavar="S", help="strength")
    group.add_argument("--erasing", type=float, metavar="P", help="probability of erasing a rectangle")
    group.add_argument("--mixup", type=float, metavar="ALPHA", help="of its Beta distribution; 0: none")
    group.add_argument("--cutmix", type=float, metavar="ALPHA", help="of its Beta distribution; 0: none")
    group.add_argument("--repeats", type=int, metavar="N", help="how often an image comes in an epoch")
    group.add_argument("--crop-ratio", type=float, metavar="SHARE", help="of evaluation's centre crop")

    group = parser.add_argument_group("teacher and distillation")
    group.add_argument(
        "--teacher",
        metavar="NAME",
        help="a .keras file, a SavedModel, weights (.safetensors, .pth), hf://owner/repository or a preset such as "
        "regnety_160; default: a small convnet",
    )
    group.add_argument(
        "--teacher-outputs", choices=("logits", "probabilities"), help="what it answers with; default: logits"
    )
    group.add_argument("--teacher-image-size", type=int, metavar="PIXELS", help="size that the teacher wants")
    group.add_argument(
        "--teacher-value-range", type=numbers, metavar="LOW,HIGH", help="range of its pixels, such as 0,255"
    )
    group.add_argument("--teacher-mean", type=numbers, metavar="R,G,B", help="in units of that range")
    group.add_argument("--teacher-std", type=numbers, metavar="R,G,B", help="in units of that range")
    group.add_argument(
        "--teacher-cache",
        metavar="DIR",
        help="store the teacher's answers for every view there, before the training, and train on what is stored",
    )
    group.add_argument(
        "--teacher-cache-top", type=int, metavar="K", help="classes that are stored for soft distillation; default: 20"
    )
    group.add_argument("--distillation", choices=DISTILLATIONS, help="default: the recipe's, hard")
    group.add_argument(
        "--alpha", type=float, help="share of the distillation term; default: 0.5 for hard, 0.1 for soft"
    )
    group.add_argument("--temperature", type=float, help="of soft distillation")
    group.add_argument("--attention-weight", type=float, help="of attention distillation; needs a transformer teacher")
    group.add_argument(
        "--compare", action=argparse.BooleanOptionalAction, help="also train a student without a teacher"
    )

    group = parser.add_argument_group("training")
    group.add_argument("--recipe", metavar="NAME", help=f"{', '.join(recipes.RECIPES)}; default: small_data")
    group.add_argument("--epochs", type=int)
    group.add_argument("--batch-size", type=int, help="images in a batch, over all replicas")
    group.add_argument("--steps-per-epoch", type=int, help="default: the whole dataset")
    group.add_argument(
        "--learning-rate", type=float, help="peak learning rate, before the recipe's scaling with the batch"
    )
    group.add_argument("--weight-decay", type=float)
    group.add_argument("--label-smoothing", type=float)
    group.add_argument("--drop-path-rate", type=float)
    group.add_argument("--strategy", choices=STRATEGIES, help="mirrored: TensorFlow; data_parallel: JAX; default: none")
    group.add_argument("--seed", type=int, help="of weights, order and augmentation; default: 0")

    group = parser.add_argument_group("run")
    group.add_argument("--output-dir", metavar="DIR", help="default: a fresh one under runs/")
    group.add_argument(
        "--resume", action="store_true", help="go on with the run in --output-dir from its last whole epoch"
    )
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of an earlier run")
    group.add_argument("--dry-run", action="store_true", help="build everything, run one batch and stop")
    group.add_argument(
        "--export", type=_names, metavar="FORMATS", help="saved_model,litert: written and compared at the end"
    )


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 1 where an export answers otherwise than the student; 2 for bad input; 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="keras-deit train",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        try:
            run = _build(options, stack)
        except (ValueError, ImportError, OSError) as error:
            print(f"keras-deit train: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nInterrupted before the student's training began.", file=sys.stderr)
            return INTERRUPTED
        announce(run)
        if options.dry_run:
            dry_run(run)
            return 0
        if not options.resume:
            output.write_settings(run.settings, run.directory)
        return _train(run, options.resume)


def _build(options, stack):
    settings, directory = _settings_and_directory(options)
    check_ready(settings)
    placement = place(settings.strategy)
    stack.enter_context(placement.scope())
    if not options.dry_run:
        stack.enter_context(output.held(directory))
    if not options.resume:
        output.check_free(directory)
    return build(settings, directory, placement.num_replicas)


def _settings_and_directory(options):
    command_line = {name: value for name, value in vars(options).items() if name not in _NOT_SETTINGS}
    directory = pathlib.Path(options.output_dir) if options.output_dir else None
    if not options.resume:
        settings = resolve(command_line, options.config)
        return settings, directory or output.default_directory(settings)
    if directory is None:
        raise ValueError("--resume goes on with the run in --output-dir. Which one?")
    if options.config:
        raise ValueError(f"--resume goes on with the settings of {directory / output.CONFIG}. Leave --config out.")
    return output.settings_to_resume(directory, command_line), directory


def _train(run, resume):
    try:
        summary = train(run, resume)
    except KeyboardInterrupt:  # the second Ctrl-C
        print(f"\nInterrupted at once. {how_to_go_on(run.directory)}", file=sys.stderr)
        return INTERRUPTED
    print(describe(summary, run.directory))
    if not summary["complete"]:
        return INTERRUPTED
    return 0 if all(report["agrees"] for report in summary.get("exports", ())) else 1


def numbers(text):
    """Reads `"0.5,1"`; argparse shows this function's name where it cannot."""
    return tuple(float(number) for number in text.split(","))


def _numbers_or_none(text):
    return text if text == OFF else numbers(text)


def _class_names(file):
    try:
        return tuple(pathlib.Path(file).read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{file!r} cannot be read: {error.strerror}") from error


def _names(text):
    return tuple(name.strip() for name in text.split(",") if name.strip())
