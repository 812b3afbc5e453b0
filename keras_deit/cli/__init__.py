"""The command line: parse, build, call."""

import importlib
import sys

from keras_deit.cli import parsers
from keras_deit.cli.common import INTERRUPTED
from keras_deit.runtime.printing import readable_output
from keras_deit.runtime.version import __version__

COMMANDS = {  # and their modules
    "train": "train",
    "predict": "predict",
    "evaluate": "evaluate",
    "explain": "explain",
    "export": "export",
    "convert": "convert",
    "show-data": "show_data",
    "validate-data": "validate_data",
    "benchmark": "benchmark",
}
USAGE = """\
usage: keras-deit COMMAND [options]

Data-efficient image transformers in Keras 3.

commands:
  train          train a DeiT with or without a teacher, or fine-tune a teacher
  predict        classify images
  evaluate       evaluate a model on labelled images: accuracies, figures of each class, mistakes
  explain        draw which patches a model attends to
  export         write a model for TensorFlow Serving, LiteRT, ONNX Runtime or OpenVINO, and compare
  convert        convert weights between timm, the official DeiT code, transformers and Keras
  show-data      draw a grid of augmented training images
  validate-data  list damaged and unusual images of a dataset
  benchmark      compare the speed of a model, of its exports or of the input pipelines with other implementations

`keras-deit COMMAND --help` lists the options of a command, and `keras-deit --version` prints the version. The environment
variable KERAS_BACKEND selects the backend."""


def main(arguments=None):
    """Runs `keras-deit COMMAND ...`.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status.
    """
    command, *options = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE)
        return 0
    if command == "--version":
        print(f"keras-deit {__version__}")
        return 0
    if command in COMMANDS:
        with readable_output():
            return _run(command, options)
    print(f"keras-deit: error: {command!r} is not a command. Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
    return 2


def _run(command, options):
    try:  # the imports take seconds, in which Ctrl-C may come too
        if command == "train":
            return importlib.import_module("keras_deit.cli.train").main(options)
        function = "main"
        if command == "benchmark" and f"benchmark {' '.join(options[:1])}" in parsers.PARSERS:
            what, *options = options
            parser, function = parsers.PARSERS[f"benchmark {what}"](), f"time_{what}"
        else:
            parser = parsers.PARSERS[command]()
        options = parser.parse_args(options)  # `--help` ends here, without Keras
        importlib.import_module("keras_deit.public")  # registers the classes of saved models, such as the Distiller
        module = importlib.import_module(f"keras_deit.cli.{COMMANDS[command]}")
        return getattr(module, function)(parser, options)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
