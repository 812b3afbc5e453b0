"""The convnet of a run that fine-tunes a teacher, from its settings."""

import dataclasses

from keras_deit.models import ApplicationClassifier, RegNetY
from keras_deit.models.pretrained import pretrained
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.training.settings import IMAGENET, PRECISIONS
from keras_deit.training.student import with_record_of_weights, with_weights
from keras_deit.weights.download import DownloadError


def make_convnet(settings, data):
    """Builds the convnet, with fresh weights or those that the settings name.

    Args:
        settings: `Settings` of a convnet.
        data: `RunData`.

    Returns:
        A `keras_deit.RegNetY` or an `ApplicationClassifier`, with a head for the classes of the dataset.

    Raises:
        OSError: If the weights cannot be downloaded.
        ValueError: If the weights do not fit the settings.
    """
    options = dict(
        num_classes=data.train.num_classes,
        class_names=data.train.class_names,
        multi_label=False,
        dtype=PRECISIONS[settings.precision],
    )
    if settings.architecture:
        return _application(settings, data, options)
    record = dataclasses.replace(data.preprocessing, image_size=data.image_size)
    if settings.weights:
        return with_record_of_weights(with_weights(settings, RegNetY, options), record)
    return RegNetY.from_variant(settings.variant, preprocessing=record, **options)


def _application(settings, data, options):
    options.update(image_size=data.image_size, preprocessing=data.preprocessing)
    if settings.weights in (None, IMAGENET):
        try:
            return ApplicationClassifier(settings.architecture, weights=settings.weights, **options)
        except DownloadError as error:
            raise DownloadError(f"{error} --weights none begins with random weights.") from error
    trained = pretrained(settings.weights)
    if not isinstance(trained, ApplicationClassifier):
        raise ValueError(
            f"Expected weights of a {settings.architecture}. Received: weights={settings.weights!r}, which is a "
            f"{type(trained).__name__}. Pass the directory of a run with --architecture {settings.architecture}, "
            f"--weights {IMAGENET} or --weights none."
        )
    options["preprocessing"] = dataclasses.replace(
        data.preprocessing, mean=trained.preprocessing.mean, std=trained.preprocessing.std
    )
    convnet = ApplicationClassifier(settings.architecture, **options)
    notes = convnet.take_weights(trained)
    if notes:
        warn_caller(f"{settings.weights}: {' '.join(notes)}")
    return convnet
