"""`keras-deit predict`: classify images."""

import argparse
import pathlib
import sys

import keras
import numpy as np

from keras_deit.choices import INTERPOLATIONS, SOURCES
from keras_deit.cli.common import make_parser, reporting
from keras_deit.data.sources.class_names import read_class_names
from keras_deit.data.sources.image_tree import describe_ignored, find_images
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models import pretrained
from keras_deit.runtime.optional import require

DESCRIPTION = """\
Classify images and print the most probable classes of each. Published weights are downloaded once and then found without a
network; `keras_deit.list_presets()` lists their names. The environment variable KERAS_BACKEND chooses the backend."""

BATCH_SIZE = 32


@reporting(lambda: _parser())
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 2 for bad input, such as an image that cannot be read; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    if options.top < 1:
        raise ValueError(f"--top must be positive. Received: {options.top}")
    require("PIL.Image", extra="weights", purpose="Reading an image file")  # before anything is downloaded
    paths = list(_find_images(options.images))
    model = pretrained(
        options.weights,
        image_size=options.image_size,
        fused=True,
        variant=options.variant,
        num_heads=options.num_heads,
        weights_entry=options.weights_entry,
    )
    if not hasattr(model, "num_classes"):
        raise ValueError(f"Expected a classifier in {options.weights!r}. Received: {type(model).__name__}")
    names = _class_names(options.class_names, model)
    processor = _processor(options, model)
    num_unreadable = 0
    for start in range(0, len(paths), BATCH_SIZE):
        images = {}
        for path in paths[start : start + BATCH_SIZE]:
            try:
                images[path] = processor(path)
            except ValueError as error:
                num_unreadable += 1
                print(f"keras-deit predict: error: {error}", file=sys.stderr)
        if images:
            _print_predictions(model, images, names, options.top)
    if num_unreadable:
        raise ValueError(f"{num_unreadable} of {len(paths)} images could not be read.")


def _find_images(paths):
    """Yields the given files, and the image files in the given directories."""
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found = find_images(path)
            if found.ignored:
                print(f"Ignored files of {path}: {describe_ignored(found.ignored)}.", file=sys.stderr)
            if not found.images:
                raise ValueError(f"There is no image file below {str(path)!r}.")
            yield from found.images
        elif path.exists():
            yield path
        else:
            raise ValueError(f"There is no image file at {str(path)!r}.")


def _print_predictions(model, images, names, top):
    logits = model.predict_on_batch(keras.ops.stack(list(images.values())))
    logits = keras.ops.convert_to_tensor(logits)
    decides_alone = model.multi_label or logits.shape[-1] == 1  # one logit is that of the class against none
    probabilities = keras.ops.sigmoid(logits) if decides_alone else keras.ops.softmax(logits)
    probabilities = keras.ops.convert_to_numpy(probabilities)
    if not np.all(np.isfinite(probabilities)):
        raise ValueError(
            "The model's predictions must be finite. Received: NaN among them. Its weights are damaged, or its training "
            "diverged; pass other --weights."
        )
    for path, row in zip(images, probabilities, strict=True):
        print("\n".join([str(path), *_lines(row, names, top)]))


def _parser():
    parser = make_parser("predict", DESCRIPTION)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="an image file, or a directory whose images are read at any depth, without hidden files",
    )
    group = parser.add_argument_group("model")
    group.add_argument("--weights", required=True, metavar="NAME", help=SOURCES)
    group.add_argument(
        "--weights-entry",
        metavar="KEY",
        help="key of the weights in a file that holds several, such as model_ema, or the prefix of their names; "
        "default: model or state_dict, or the only weights",
    )
    group.add_argument(
        "--variant", help="variant of weights without a model; default: inferred from the tensors' shapes"
    )
    group.add_argument(
        "--num-heads",
        type=int,
        metavar="N",
        help="number of attention heads of weights without a model, if no published variant fits them",
    )
    group.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the images; default: the model's own. For another size the position embeddings are resized",
    )
    group = parser.add_argument_group("images")
    unknown = "default: the model's own, which runs and presets keep with it, or"
    group.add_argument(
        "--crop-ratio",
        type=float,
        metavar="FRACTION",
        help=f"fraction of the resized image's shorter side that is kept; {unknown} {Preprocessing.crop_ratio}",
    )
    group.add_argument(
        "--bit-depth",
        type=int,
        metavar="BITS",
        help="bits that image files of 16 bits use, if they do not state it, as for keras-deit train; default: that of the "
        "run that trained the model, or 16",
    )
    group.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        help=f"filter of Pillow that resizes the image; {unknown} {Preprocessing.interpolation}",
    )
    group.add_argument(
        "--squash",
        action=argparse.BooleanOptionalAction,
        help=f"resize without keeping the aspect ratio; {unknown} --no-squash",
    )
    for name, meaning in (("mean", "mean"), ("std", "standard deviation")):
        group.add_argument(
            f"--{name}",
            type=_channels,
            metavar="R,G,B",
            help=f"{meaning} of each channel, for pixels in 0..1; {unknown} ImageNet's",
        )
    group = parser.add_argument_group("predictions")
    group.add_argument("--top", type=int, default=5, metavar="K", help="number of classes to print; default: 5")
    group.add_argument(
        "--class-names",
        metavar="FILE",
        help="text file with one class name per line; default: the names that are kept with the model",
    )
    return parser


def _channels(text):
    values = tuple(float(value) for value in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers, separated by commas. Received: {text!r}")
    return values


def _class_names(file, model):
    num_classes = model.num_classes
    if file is None:
        return model.class_names or [f"class {index}" for index in range(num_classes)]
    names = read_class_names(file)
    if len(names) != num_classes:
        raise ValueError(f"{file!r} has {len(names)} names, but the model has {num_classes} classes.")
    return names


def _processor(options, model):
    given = {
        name: getattr(options, name) for name in ("crop_ratio", "interpolation", "squash", "mean", "std", "bit_depth")
    }
    return model.image_processor(
        options.image_size, **{name: value for name, value in given.items() if value is not None}
    )


def _lines(probabilities, names, top):
    best = probabilities.argsort()[::-1][:top]
    return [f"  {probabilities[index]:6.1%}  {names[index]}" for index in best]
