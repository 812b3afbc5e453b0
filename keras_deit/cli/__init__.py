"""The command line: parse, build, call."""

import argparse
import sys

from keras_deit.cli import train

COMMANDS = {"train": train}
PLANNED = ("evaluate", "predict", "explain", "export", "convert", "show-data", "validate-data")


def main(arguments=None):
    """Runs `keras-deit COMMAND ...`.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in PLANNED:
        known = ", ".join(COMMANDS)
        print(f"keras-deit: error: {arguments[0]!r} is still to come. This version has: {known}.", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(prog="keras-deit", description="Data-efficient image transformers in Keras 3.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_parser(subparsers, name)
    options = parser.parse_args(arguments)
    return options.run(options)
