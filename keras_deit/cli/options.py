"""The options of a run's settings, in groups that commands share."""

import argparse
import pathlib

from keras_deit import recipes
from keras_deit.data import FATAL_ISSUES, IMAGE_ISSUES, PIPELINES
from keras_deit.models import list_variants
from keras_deit.training.settings import DISTILLATIONS, OFF, PRECISIONS
from keras_deit.training.strategy import STRATEGIES


def add_model_options(parser):
    """Adds the group `model`."""
    group = parser.add_argument_group("model")
    names = ", ".join(row["name"] for row in list_variants() if row["family"] == "deit")
    group.add_argument("--variant", help=f"the one thing that has to be said, here or in --config: {names}")
    group.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="side of the images; default: the recipe's or the digits'"
    )
    group.add_argument(
        "--weights",
        metavar="NAME",
        help="trained weights to begin with: a preset, hf://owner/repository, a .safetensors or .pth file, a .keras model",
    )
    group.add_argument(
        "--patch-size", type=int, metavar="PIXELS", help="side of a patch; default: one that suits the image size"
    )
    group.add_argument("--precision", choices=tuple(PRECISIONS), help="default: float32; the others are mixed")


def add_data_options(parser):
    """Adds the groups `data` and `augmentation`."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        help="a folder of class folders, a CSV file with the columns path and label, or a name of TFDS such as "
        "imagenet2012; default: digits",
    )
    group.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its datasets")
    group.add_argument(
        "--class-names", type=_class_names, metavar="FILE", help="one name a line, in the order of the labels"
    )
    group.add_argument(
        "--validated",
        metavar="FILE",
        help="a report of keras-deit validate-data, instead of reading every picture first",
    )
    group.add_argument(
        "--check-images",
        action=argparse.BooleanOptionalAction,
        help="whether every picture is read first; default: yes",
    )
    group.add_argument(
        "--skip-images",
        type=names,
        metavar="IMAGE_ISSUES",
        help=f"what is left out beside {' and '.join(FATAL_ISSUES)} ones, of {','.join(IMAGE_ISSUES)}",
    )
    group.add_argument("--max-skipped", type=float, metavar="SHARE", help="that may be left out; default: 0.05")
    group.add_argument(
        "--pipeline", choices=PIPELINES, help="tf.data: threads; grain: processes, without TensorFlow; default: auto"
    )
    group.add_argument(
        "--num-workers", type=int, metavar="N", help="threads or processes that make batches; default: one a core"
    )

    group = parser.add_argument_group("augmentation", "Default: the recipe's.")
    group.add_argument(
        "--crop-scale", type=_numbers_or_none, metavar="LOW,HIGH", help="share of a random crop, or none"
    )
    group.add_argument(
        "--augmentation",
        metavar="LAYERS",
        help="keras-cv, or a .keras file of layers, in the place of all that follows but repeats and crop ratio",
    )
    group.add_argument("--flip", type=float, metavar="P", help="probability of turning left and right round")
    group.add_argument(
        "--auto-augment", metavar="POLICY", help="rand-m9-mstd0.5-inc1, 3-augment, original (AutoAugment) or none"
    )
    group.add_argument("--color-jitter", type=float, metavar="S", help="strength")
    group.add_argument("--erasing", type=float, metavar="P", help="probability of erasing a rectangle")
    group.add_argument("--mixup", type=float, metavar="ALPHA", help="of its Beta distribution; 0: none")
    group.add_argument("--cutmix", type=float, metavar="ALPHA", help="of its Beta distribution; 0: none")
    group.add_argument("--repeats", type=int, metavar="N", help="how often an image comes in an epoch")
    group.add_argument("--crop-ratio", type=float, metavar="SHARE", help="of evaluation's centre crop")


def add_teacher_options(parser):
    """Adds the group `teacher and distillation`."""
    group = parser.add_argument_group("teacher and distillation")
    group.add_argument(
        "--teacher",
        metavar="NAME",
        help="a .keras file, a SavedModel, weights (.safetensors, .pth), hf://owner/repository or a preset such as "
        "regnety_160; default, for the digits: a small convnet",
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


def add_training_options(parser):
    """Adds the group `training`."""
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


def names(text):
    """Reads `"a,b"`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
