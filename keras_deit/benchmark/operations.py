"""The time of each augmentation operation on one image, within `tf.data` and by Pillow."""

import numpy as np

from keras_deit.benchmark.images import photographs
from keras_deit.benchmark.timing import median_seconds
from keras_deit.data.augment import pillow_ops, tensorflow_ops
from keras_deit.data.augment.operation_names import NAMES, NOTHING

ARGUMENTS = {  # the largest that RandAugment gives; 0.0 for operations without an argument
    "Rotate": 27.0,
    "Posterize": 1.0,
    "Solarize": 26.0,
    "SolarizeAdd": 99.0,
    "GaussianBlur": 1.5,
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), 1.8),
    **dict.fromkeys(("ShearX", "ShearY"), 0.27),
    **dict.fromkeys(("TranslateX", "TranslateY"), 0.4),
}


def operation_milliseconds(image_size):
    """Times every operation on a photograph, one image after the other.

    Within `tf.data`, the operations are compiled by XLA. The time that the dataset takes to hand over an unchanged image is
    subtracted.

    Args:
        image_size: Side of the image in pixels.

    Yields:
        Tuples: name of the operation, median milliseconds within `tf.data`, median milliseconds by Pillow.

    Raises:
        ImportError: If TensorFlow, scikit-learn or Pillow is not installed.
    """
    image = photographs()[0].resize((image_size, image_size))
    pixels = np.asarray(image)
    unchanged = _seconds_within_tf_data(pixels, NOTHING, 0.0)
    for index, name in enumerate(NAMES):
        argument = ARGUMENTS.get(name, 0.0)
        within_tf_data = max(_seconds_within_tf_data(pixels, index, argument) - unchanged, 0.0)
        by_pillow = median_seconds(lambda index=index, argument=argument: pillow_ops.apply(image, [index], [argument]))
        yield name, 1e3 * within_tf_data, 1e3 * by_pillow


def _seconds_within_tf_data(pixels, operation, argument):
    tf = tensorflow_ops.tensorflow()
    pixels = tf.constant(pixels)
    operations = tf.data.Dataset.from_tensors((tf.constant([operation]), tf.constant([argument]))).repeat()
    apply = tf.autograph.experimental.do_not_convert(lambda *chosen: tensorflow_ops.apply(pixels, *chosen))
    options = tf.data.Options()
    options.autotune.enabled = False  # autotuning would compute images ahead of time, on all cores
    images = iter(operations.map(apply).with_options(options))
    return median_seconds(lambda: next(images))
