"""`keras-deit predict`: classify images."""

import pathlib
import sys

import keras

from keras_deit.cli.common import reporting
from keras_deit.cli.model_options import given_preparation, load_model_or_export
from keras_deit.data.sources.class_names import read_class_names
from keras_deit.data.sources.image_tree import describe_ignored, find_images
from keras_deit.evaluation.heads import check_finite
from keras_deit.export.metadata import activation_of
from keras_deit.runtime.optional import require

BATCH_SIZE = 32


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input, such as an image that cannot be read; 130 after Ctrl-C.
    """
    if options.top < 1:
        raise ValueError(f"--top must be positive. Received: {options.top}")
    require("PIL.Image", extra="weights", purpose="Reading an image file")  # before anything is downloaded
    paths = list(_find_images(options.images))
    model = load_model_or_export(options)
    names = _class_names(options.class_names, model)
    overrides = given_preparation(options) | ({} if options.bit_depth is None else {"bit_depth": options.bit_depth})
    processor = model.image_processor(options.image_size, **overrides)
    num_unreadable = 0
    for start in range(0, len(paths), BATCH_SIZE):
        images = []
        for path in paths[start : start + BATCH_SIZE]:
            try:
                images.append((path, processor(path)))
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
    paths, pixels = zip(*images, strict=True)
    logits = model.predict_on_batch(keras.ops.stack(pixels))
    logits = keras.ops.convert_to_tensor(logits)
    activation = _activation(model, logits.shape[-1])
    probabilities = keras.ops.convert_to_numpy(getattr(keras.ops, activation)(logits) if activation else logits)
    check_finite(probabilities)
    for path, row in zip(paths, probabilities, strict=True):
        print("\n".join([str(path), *_lines(row, names, top)]))


def _activation(model, num_classes):
    """Returns the function that turns the outputs into probabilities; None if an exported model gives probabilities."""
    metadata = getattr(model, "metadata", None) or {}
    return metadata.get("activation", activation_of(model.multi_label, num_classes))


def _class_names(file, model):
    num_classes = model.num_classes
    if file is None:
        return model.class_names or [f"class {index}" for index in range(num_classes)]
    names = read_class_names(file)
    if len(names) != num_classes:
        raise ValueError(f"{file!r} has {len(names)} names, but the model has {num_classes} classes.")
    return names


def _lines(probabilities, names, top):
    best = probabilities.argsort()[::-1][:top]
    return [f"  {probabilities[index]:6.1%}  {names[index]}" for index in best]
