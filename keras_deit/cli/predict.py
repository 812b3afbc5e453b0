"""`keras-deit predict`: classify images."""

import keras

from keras_deit.cli.common import reporting
from keras_deit.cli.image_files import (
    ImageReader,
    as_probabilities,
    class_names_of,
    find_image_files,
    most_probable,
)
from keras_deit.cli.model_options import given_preparation, load_model_or_export
from keras_deit.data.sources.class_names import read_class_names
from keras_deit.evaluation.heads import check_finite
from keras_deit.runtime.optional import require


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
    paths = list(find_image_files(options.images))
    model = load_model_or_export(options)
    given = None if options.class_names is None else read_class_names(options.class_names)
    names = class_names_of(model, given, options.class_names)
    overrides = given_preparation(options) | ({} if options.bit_depth is None else {"bit_depth": options.bit_depth})
    reader = ImageReader("predict", paths, model.image_processor(options.image_size, **overrides))
    for batch in reader.batches():
        positions, pixels = zip(*batch, strict=True)
        probabilities = as_probabilities(model, model.predict_on_batch(keras.ops.stack(pixels)))
        check_finite(probabilities)
        for position, row in zip(positions, probabilities, strict=True):
            lines = (f"  {probability:6.1%}  {name}" for probability, name in most_probable(row, names, options.top))
            print("\n".join([str(paths[position]), *lines]))
    reader.check()
