"""What the options of the commands that classify images mean: which model, which data, how its images are prepared."""

import dataclasses

from keras_deit.data.sources.load import is_in_memory
from keras_deit.export.exported_model import ExportedModel, is_exported
from keras_deit.models import pretrained
from keras_deit.recipes.fields import DATA, TEACHER, settings_of
from keras_deit.training.resolve import resolve
from keras_deit.training.settings import Settings

PREPARATION = ("crop_ratio", "interpolation", "squash", "mean", "std")  # options that replace what the record says
OF_WEIGHTS = ("variant", "num_heads", "weights_entry")  # options that an exported model has no use for
UNUSED = {"variant": "deit_ti"}  # settings of a run that do not count here, and are needed all the same


def load_model(options, any_keras_model=False):
    """Loads the classifier that the options name.

    Args:
        options: What the parser returned.
        any_keras_model: Whether a `.keras` file may hold another model than one of this package.

    Returns:
        The model, in the precision of `--precision` if the command has this option; a `DeiT` as a `DeiTClassifier`.

    Raises:
        ValueError: If there is no such model, or it is no classifier, or it has no other precision.
    """
    model = pretrained(
        options.weights,
        image_size=options.image_size,
        fused=True,
        variant=options.variant,
        num_heads=options.num_heads,
        weights_entry=options.weights_entry,
        any_keras_model=any_keras_model,
    )
    if not any_keras_model and not hasattr(model, "num_classes"):
        raise ValueError(f"Expected a classifier in {options.weights!r}. Received: {type(model).__name__}")
    return _in_precision(model, options)


def load_model_or_export(options, any_keras_model=False):
    """Loads the classifier that the options name, which may be an exported one.

    Args:
        options, any_keras_model: See `load_model`.

    Returns:
        The model, or an `ExportedModel`.

    Raises:
        FileNotFoundError: If there is no such export.
        ImportError: If the runtime of the export is not installed; the message names the extra.
        ValueError: If there is no such model, or it is no classifier, or the export has no metadata, or an option is only
            for weights.
    """
    if not is_exported(options.weights):
        return load_model(options, any_keras_model)
    if options.precision is not None:
        raise ValueError(
            f"--precision is for models of Keras. Received: the exported model {options.weights!r}, whose precision is "
            "fixed. Leave the option out."
        )
    given = [f"--{name.replace('_', '-')}" for name in OF_WEIGHTS if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"Only weights without a model take {' and '.join(given)}. Received: the exported model {options.weights!r}, "
            "whose architecture is fixed. Leave these options out."
        )
    model = ExportedModel(options.weights)
    if model.metadata is None:
        raise ValueError(
            f"{options.weights!r} does not say what its classes are and how its images are prepared: it has no metadata of "
            "keras_deit, because another program or an early version wrote it. Export the model again with `keras-deit "
            "export`. For a LiteRT file, put the JSON file of the export beside it, under the same name."
        )
    return model


def _in_precision(model, options):
    if getattr(options, "precision", None) is None:  # `export` has no such option
        return model
    if not hasattr(model, "to_dtype"):
        raise ValueError(
            f"--precision is for models of this package. Received: the {type(model).__name__} in {options.weights!r}. Leave "
            "the option out."
        )
    return model.to_dtype(options.precision)


def given_preparation(options):
    """Returns the given options that override how a model's images are prepared.

    Args:
        options: What the parser returned.

    Returns:
        Dictionary of arguments of `keras_deit.ImageProcessor`.
    """
    given = {name: getattr(options, name) for name in PREPARATION}
    return {name: value for name, value in given.items() if value is not None}


def data_settings(options, model, teacher=False, config=None):
    """Returns the settings of the dataset that the options name, as those of a run.

    Args:
        options: What the parser returned.
        model: The model. The bits that its record knows count unless an option gives them.
        teacher: Whether the options also name a teacher.
        config: Path of the `config.toml` of a run, whose settings count where no option is given; None means no run.

    Returns:
        `keras_deit.training.settings.Settings`.

    Raises:
        ValueError: If the options do not fit together.
    """
    groups = (DATA, TEACHER) if teacher else (DATA,)
    names = {name for name, declared in settings_of(Settings).items() if declared.group in groups}
    given = {name: value for name, value in vars(options).items() if name in names}
    settings = resolve(given, config, defaults=None if config else UNUSED)
    record = getattr(model, "preprocessing", None)
    if options.bit_depth is None and record is not None and not is_in_memory(settings.dataset):
        settings = dataclasses.replace(settings, bit_depth=record.bit_depth)
    return settings
