"""`keras-deit show-data`: a grid of training images as the student will see them."""

import dataclasses
import pathlib

import keras
import numpy as np

from keras_deit.cli.common import make_parser, reporting
from keras_deit.cli.options import add_setting_options
from keras_deit.explain import draw_grid
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.recipes.fields import GROUPS, RUN
from keras_deit.training.build import build_data, load_teacher
from keras_deit.training.settings import resolve

# Settings that a run needs and that do not change the images, except the variant, which may determine their size; and a
# batch of a few rows.
UNSEEN = {"variant": "deit_ti", "learning_rate": 1.0, "drop_path_rate": 0.0, "batch_size": 32}
COLUMNS, MOST_IMAGES = 8, 64
LEAST_SHARE = 0.005  # of a label that is named

DESCRIPTION = """\
Draw a batch of training images as the student will see them: cropped, augmented and mixed, with their labels and, if a
teacher is named, what it says of them. The options are those of `keras-deit train`; a batch, within which images are mixed,
is of 32 unless --batch-size or --config says otherwise."""


@reporting("show-data")
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    options = vars(_parser().parse_args(arguments))
    output, epoch, config = (options.pop(name) for name in ("output", "epoch", "config"))
    settings = dataclasses.replace(resolve(options, config, defaults=UNSEEN), compare=False)
    run = build_data(settings)
    images, labels = (part[:MOST_IMAGES] for part in run.first_batch(epoch))
    words = [_labels(row, run.train.class_names) for row in labels]
    if settings.teacher:
        logits = load_teacher(settings, run.train.num_classes)(images, IMAGENET_MEAN, IMAGENET_STD)
        answers = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        names = run.train.class_names
        words = [
            f"{text}\nteacher: {names[row.argmax()]} {row.max():.0%}" for text, row in zip(words, answers, strict=True)
        ]
    path = draw_grid(images, words, pathlib.Path(output), COLUMNS, IMAGENET_MEAN, IMAGENET_STD)
    shown = f"{len(images)} of {len(run.train):,} images of {run.train.name}"
    print(f"{path}: {shown}, recipe {settings.recipe}, epoch {epoch + 1}")


def _labels(row, names):
    """A mixed label in words."""
    if not row.any():
        return "no label"
    shares = [(row[place], names[place]) for place in np.argsort(-row)[:2] if row[place] > LEAST_SHARE]
    return " + ".join(name if share > 1 - LEAST_SHARE else f"{name} {share:.0%}" for share, name in shares)


def _parser():
    parser = make_parser("show-data", DESCRIPTION)
    add_setting_options(parser, [group for group in GROUPS if group != RUN])
    group = parser.add_argument_group("picture")
    group.add_argument("--output", default="data.png", metavar="FILE.png", help="default: data.png")
    group.add_argument("--epoch", type=int, default=0, metavar="N", help="whose views are shown, from 0; default: 0")
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of a run")
    return parser
