"""The model card of a repository on the Hugging Face hub: `README.md` with metadata in front."""

import pathlib

from keras_deit.runtime.files import user_path, write_whole
from keras_deit.runtime.optional import require
from keras_deit.runtime.shorten import shorten

MODEL_CARD = "README.md"
UNKNOWN = "unknown"
TAG = "keras-deit"  # of every model card that this package writes
TASK = "image-classification"
ACCURACIES = {
    "accuracy": "Accuracy",
    "class_accuracy": "Accuracy of the class head",
    "distillation_accuracy": "Accuracy of the distillation head",
    "teacher_accuracy": "Accuracy of the teacher",
}
OWN = ("accuracy", "class_accuracy", "distillation_accuracy")  # of the model itself, which the hub may list
TRAINING = ("recipe", "epochs", "batch_size", "optimizer", "learning_rate", "distillation", "teacher", "weights")
HUB = "hf://"


def write_model_card(model, output, summary=None, overwrite=False):
    """Writes the model card of a converted model: its figures as far as they were measured, and nothing else.

    The license, what the model is meant for and its limits are left to the author: the card says that they are unknown.

    Args:
        model: A model of this package.
        output: Path of the converted model: a directory, into which `README.md` is written, or a file, beside which it is
            written.
        summary: Dictionary as in the `summary.json` of the run that trained the model; None means that training and
            accuracy are unknown.
        overwrite: Whether an existing model card of this package is replaced.

    Returns:
        The `pathlib.Path` of the card.

    Raises:
        ImportError: If huggingface_hub is not installed.
        ValueError: If there is a `README.md` already that may not be replaced.

    Example:

    ```python
    path = kd.weights.to_huggingface(student, "hub")
    write_model_card(student, path, summary)
    ```
    """
    path = card_path(output, overwrite)
    output = user_path(output)
    name = path.absolute().parent.name if output.is_dir() else output.stem
    metadata = _metadata(name, "transformers" if output.is_dir() else "keras", summary)
    lines = ["---", metadata, "---", "", *_body(name, model, output, summary)]
    write_whole(path, "\n".join(lines) + "\n")
    return path


def card_path(output, overwrite=False):
    """Finds the path of a model card, and checks that it can be written.

    Args:
        output, overwrite: See `write_model_card`.

    Returns:
        `pathlib.Path`.

    Raises:
        ImportError: If huggingface_hub is not installed.
        ValueError: If the file exists already, and is another one or `overwrite` is not set.
    """
    require("huggingface_hub", extra="weights", purpose="Writing a model card")
    output = user_path(output)
    path = (output.parent if output.suffix else output) / MODEL_CARD
    if path.exists() and not overwrite:
        raise ValueError(
            f"{str(path)!r} exists already: choose another directory, or replace it with `overwrite=True`."
        )
    if path.exists() and TAG not in path.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(
            f"{str(path)!r} is no model card of keras_deit and is not replaced: move it, or choose another directory."
        )
    return path


def _metadata(name, library, summary):
    """The metadata that the hub reads, in YAML; without the license."""
    hub = require("huggingface_hub", extra="weights", purpose="Writing a model card")
    given = {"tags": [TAG, "deit", "vision-transformer"], "pipeline_tag": TASK, "library_name": library}
    settings, results = (summary or {}).get("settings", {}), _results(summary)
    if str(settings.get("weights") or "").startswith(HUB):
        given["base_model"] = settings["weights"].removeprefix(HUB).partition("@")[0]
    if results:
        given["metrics"] = ["accuracy"]
        given["model_name"] = name
        given["eval_results"] = [
            _eval_result(hub, settings, key, value) for key, value in results.items() if key in OWN
        ]
    return hub.ModelCardData(**given).to_yaml()


def _eval_result(hub, settings, key, value):
    dataset = _dataset_name(settings)
    return hub.EvalResult(
        task_type=TASK,
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split="test",
        metric_type="accuracy",
        metric_name=ACCURACIES[key],
        metric_value=value,
    )


def _results(summary):
    """The measured accuracies on the test split, by their names in the summary."""
    measured = (summary or {}).get("student") or {}
    return {key: measured[key] for key in ACCURACIES if measured.get(key) is not None}


def _is_path(name):
    return "/" in name or "\\" in name or bool(pathlib.Path(name).suffix)


def _dataset_name(settings):
    """The name of a dataset; of a path, which is nobody's business on the hub, the name of the file or folder."""
    return pathlib.Path(settings["dataset"]).stem if _is_path(settings["dataset"]) else settings["dataset"]


def _body(name, model, output, summary):
    record = getattr(model, "preprocessing", None)
    names = getattr(model, "class_names", None)
    settings = (summary or {}).get("settings", {})
    yield f"# {name}"
    yield ""
    yield (
        f"A `{type(model).__name__}` with {model.count_params():,} parameters, written by "
        "[keras_deit](https://pypi.org/project/keras-deit/): data-efficient image transformers (DeiT, arXiv 2012.12877) in "
        "Keras 3."
    )
    yield from ("", "## Use", "", "```python", "import keras_deit as kd", "")
    yield _loading(output)
    yield from ("logits = model(model.image_processor()(images))  # images: pixels in 0..255", "```")
    yield from ("", "## Classes and images", "")
    yield f"- Classes: {shorten(names, shown=20) if names else UNKNOWN}."
    yield f"- Preparation of images: {_preparation(model, record)}."
    yield from ("", "## Training", "", f"- Dataset: {_dataset_name(settings) if settings else UNKNOWN}.")
    for key, value in _training(summary).items():
        yield f"- {key.replace('_', ' ').capitalize()}: {_shown(value)}."
    yield from ("", "## Evaluation", "", *_evaluation(summary))
    yield from ("", "## License, intended use and limits", "")
    yield "Unknown. The author of the repository states them here, and the license as `license` at the top of this file."


def _loading(output):
    """The line of Python that loads the model; the hub has a directory's files under the names that `pretrained` seeks."""
    if output.is_dir():
        return f'model = kd.pretrained("hf://OWNER/REPOSITORY", fused=True)  # or the path of {output.name}'
    return f'model = kd.pretrained("{output.name}", fused=True)'


def _training(summary):
    """What the card says of a training, by name; empty if nothing is known."""
    if not summary:
        return {}
    settings = summary["settings"]
    facts = {key: settings.get(key) for key in TRAINING} | {"epochs": summary["epochs"]}
    if settings.get("learning_rate_batch"):
        batch = f"a batch of {settings['learning_rate_batch']} images, in proportion to the batch size"
        facts["learning_rate"] = f"{settings['learning_rate']} for {batch}"
    if settings.get("distillation") != "none" and settings.get("teacher") is None:
        facts["teacher"] = "a convnet that was trained on the dataset"
    return facts


def _preparation(model, record):
    image_size = getattr(model, "image_size", None)
    size = f"{image_size[0]}×{image_size[1]} pixels" if image_size else "any size"
    if record is None:
        return f"{size}; the model does not store the rest"
    config = record.get_config()
    return f"{size}; " + ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in config.items() if value is not None
    )


def _shown(value):
    """A setting; of a path, the name of the file or folder."""
    if value is None:
        return "none"
    is_path = isinstance(value, str) and not value.startswith(HUB) and _is_path(value)
    return pathlib.PurePath(value).name if is_path else value


def _evaluation(summary):
    results = _results(summary)
    if not results:
        yield "Unknown."
        return
    versions = summary["versions"]
    yield from ("| on the test split | |", "|---|---|")
    yield from (f"| {ACCURACIES[key]} | {value:.2%} |" for key, value in results.items())
    yield ""
    yield f"Measured with keras_deit {versions['keras_deit']}, Keras {versions['keras']} and {versions['backend']}."
