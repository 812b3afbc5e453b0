"""`keras-deit show-data`: a grid of training images as the student sees them."""

import dataclasses

import keras
import numpy as np

from keras_deit.cli.common import reporting
from keras_deit.explain.grid import draw_grid
from keras_deit.runtime.files import user_path
from keras_deit.training.resolve import is_given, resolve
from keras_deit.training.run_data import load_run_data
from keras_deit.training.student import recorded_preprocessing
from keras_deit.training.teachers.load import load_teacher, naming_settings

# Values for settings that a run needs and the grid does not show, and a batch of a few rows. Of the variant, the grid shows
# the image size alone.
UNSEEN = {"variant": "deit_ti", "learning_rate": 1.0, "drop_path_rate": 0.0, "batch_size": 32}
COLUMNS, MAX_IMAGES = 8, 64
MIN_SHARE = 0.005  # of a label that is named


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    options = dict(vars(options))
    output, epoch, config = (options.pop(name) for name in ("output", "epoch", "config"))
    settings = dataclasses.replace(resolve(options, config, defaults=UNSEEN), compare=False)
    data = load_run_data(settings, adapts_batch_size=not is_given("batch_size", options, config))
    data = data.normalised_for(recorded_preprocessing(settings) or data.preprocessing)
    images, labels = (values[:MAX_IMAGES] for values in data.first_batch(epoch))
    titles = _titles(settings, images, labels, data)
    path = draw_grid(images, titles, user_path(output), COLUMNS, data.mean, data.std)
    shown = f"{len(images)} of {len(data.train):,} images of {data.train.name}"
    print(f"{path}: {shown}, recipe {settings.recipe}, epoch {epoch + 1}")


def _titles(settings, images, labels, data):
    class_names, normalisation = data.train.class_names, (data.mean, data.std)
    titles = [_describe_label(row, class_names) for row in labels]
    if not settings.teacher:
        return titles
    teacher = load_teacher(settings, len(class_names))
    attention = bool(settings.attention_weight)
    with naming_settings(class_names):
        teacher = teacher.match_classes(class_names)
        teacher.check(images.shape[1:], len(class_names), *normalisation, attention)  # as a `Distiller` does
    logits = teacher(images, *normalisation)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    predictions = (f"teacher: {class_names[row.argmax()]} {row.max():.0%}" for row in probabilities)
    return [f"{title}\n{prediction}" for title, prediction in zip(titles, predictions, strict=True)]


def _describe_label(row, class_names):
    """A one-hot or mixed label as text."""
    if not row.any():
        return "no label"
    shares = [(row[index], class_names[index]) for index in np.argsort(-row)[:2] if row[index] > MIN_SHARE]
    return " + ".join(name if share > 1 - MIN_SHARE else f"{name} {share:.0%}" for share, name in shares)
