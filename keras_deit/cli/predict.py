"""`keras-deit predict`: what a model says of pictures."""

import pathlib
import sys

import keras

from keras_deit.cli.common import make_parser, reporting
from keras_deit.imaging import imagenet
from keras_deit.imaging.processor import ImageProcessor
from keras_deit.models import find_preset, pretrained
from keras_deit.runtime.optional import require

DESCRIPTION = """\
Classify pictures and print the most probable classes of each. Published weights are downloaded once and found without a
network afterwards; `keras_deit.list_presets()` lists their names. The backend is that of KERAS_BACKEND."""

BATCH = 32
CROP_RATIO = 0.875
CONVNET_IMAGE_SIZE = 224


@reporting("predict")
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    if options.top < 1:
        raise ValueError(f"--top must be positive. Received: {options.top}")
    pictures = list(_pictures(options.images))  # before anything is downloaded
    model = pretrained(
        options.preset,
        fused=True,
        image_size=options.image_size,
        variant=options.variant,
        num_heads=options.num_heads,
    )
    if not hasattr(model, "num_classes"):
        raise ValueError(f"{options.preset!r} holds a {type(model).__name__}, which knows no classes.")
    names = _class_names(options.class_names, model)
    processor = _processor(options, model)
    unreadable = 0
    for start in range(0, len(pictures), BATCH):
        images = {}
        for picture in pictures[start : start + BATCH]:
            try:
                images[picture] = processor(picture)
            except ValueError as error:
                unreadable += 1
                print(f"keras-deit predict: error: {error}", file=sys.stderr)
        if images:
            _print_answers(model, images, names, options.top)
    if unreadable:
        raise ValueError(f"{unreadable} of {len(pictures)} pictures could not be read.")


def _pictures(paths):
    """The given files, and those of the given directories that Pillow may read."""
    endings = require("PIL.Image", extra="weights", purpose="Reading a picture").registered_extensions()
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            yield from sorted(inside for inside in path.rglob("*") if inside.suffix.lower() in endings)
        elif path.exists():
            yield path
        else:
            raise ValueError(f"There is no picture at {str(path)!r}.")


def _print_answers(model, images, names, top):
    logits = model.predict_on_batch(keras.ops.stack(list(images.values())))
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(keras.ops.convert_to_tensor(logits)))
    for picture, row in zip(images, probabilities, strict=True):
        print("\n".join([str(picture), *_lines(row, names, top)]))


def _parser():
    parser = make_parser("predict", DESCRIPTION)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="JPEG, PNG or whatever else Pillow reads; or a directory of them"
    )
    group = parser.add_argument_group("model")
    group.add_argument(
        "--preset",
        required=True,
        metavar="NAME",
        help="a preset, hf://owner/repository, a .safetensors or .pth file, or a saved .keras model",
    )
    group.add_argument("--variant", help="of weights in a file; default: told by their shapes")
    group.add_argument("--num-heads", type=int, metavar="N", help="attention heads of a width that was not published")
    group.add_argument("--image-size", type=int, metavar="PIXELS", help="default: the weights'; positions are resized")
    group = parser.add_argument_group("pictures")
    group.add_argument(
        "--crop-ratio",
        type=float,
        metavar="SHARE",
        help=f"share of the resized picture's shorter side that is kept; default: the preset's, or {CROP_RATIO}",
    )
    group = parser.add_argument_group("answers")
    group.add_argument("--top", type=int, default=5, metavar="K", help="number of classes to print; default: 5")
    group.add_argument(
        "--class-names",
        metavar="FILE",
        help="one name a line; default: the model's own, or ImageNet's for 1,000 classes",
    )
    return parser


def _class_names(file, model):
    num_classes = model.num_classes
    if file is None and getattr(model, "class_names", None):
        return model.class_names
    if file is None:
        return imagenet.class_names() if num_classes == 1000 else [f"class {index}" for index in range(num_classes)]
    names = pathlib.Path(file).read_text(encoding="utf-8").splitlines()
    if len(names) != num_classes:
        raise ValueError(f"{file!r} has {len(names)} names, and the model {num_classes} classes.")
    return names


def _processor(options, model):
    crop_ratio = options.crop_ratio
    if crop_ratio is None:
        preset = find_preset(options.preset)
        crop_ratio = preset.crop_ratio if preset else CROP_RATIO
    image_size = getattr(model, "image_size", None) or options.image_size or CONVNET_IMAGE_SIZE
    return ImageProcessor(image_size, crop_ratio)


def _lines(probabilities, names, top):
    best = probabilities.argsort()[::-1][:top]
    return [f"  {probabilities[index]:6.1%}  {names[index]}" for index in best]
