"""`keras-deit convert`: convert weights from one framework's format to another's."""

from keras_deit.cli.common import reporting
from keras_deit.models import find_preset, pretrained
from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require
from keras_deit.training.run_directory import SUMMARY, read_summary
from keras_deit.weights import to_huggingface, to_official, to_timm
from keras_deit.weights.model_card import card_path, write_model_card


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    output = user_path(options.output)
    write = _writer(output)
    if output.exists() and not options.overwrite:
        raise ValueError(f"{options.output!r} exists already: choose another name, or pass --overwrite.")
    if output.suffix == ".pth":
        require("torch", extra="torch", purpose="Writing a .pth file")  # before anything is downloaded
    if options.model_card:
        card_path(output, options.overwrite)  # before anything is written
    model = pretrained(
        options.weights, variant=options.variant, num_heads=options.num_heads, weights_entry=options.weights_entry
    )
    write(model, output)
    print(f"{output}: {type(model).__name__}, {model.count_params():,} parameters.")
    if options.model_card:
        print(f"Model card: {write_model_card(model, output, _summary(options.weights), options.overwrite)}")


def _summary(source):
    """The summary of the run that the weights are of; None for other weights."""
    directory = user_path(source)
    return read_summary(directory) if find_preset(source) is None and (directory / SUMMARY).is_file() else None


def _writer(output):
    writers = {".safetensors": to_timm, ".pth": to_official, ".keras": _to_keras, "": to_huggingface}
    if output.suffix not in writers:
        extensions = ", ".join(extension for extension in writers if extension)
        raise ValueError(
            f"--output must end in one of {extensions}, or be a directory's name without a dot. Received: {str(output)!r}"
        )
    return writers[output.suffix]


def _to_keras(model, path):
    with replacing(path) as temporary:
        model.save(temporary)
