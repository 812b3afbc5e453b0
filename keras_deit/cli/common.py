"""What the commands share."""

import argparse
import functools
import sys
import warnings

INTERRUPTED = 130  # the exit status that shells give to Ctrl-C
WEIGHTS_HELP = (
    "a preset, hf://owner/repository, a .safetensors or .pth file, a directory of transformers, a .keras file, or the "
    "output directory of a run"
)


def make_parser(name, description):
    """A parser of a command's options, which are never abbreviated.

    Args:
        name: The command's name.
        description: Text, whose lines stay as they are.

    Returns:
        An `argparse.ArgumentParser`.
    """
    return argparse.ArgumentParser(
        prog=f"keras-deit {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def reporting(name):
    """Makes a command print what its user can mend, and return 2, instead of raising it; and warnings without their code.

    Args:
        name: The command's name.

    Returns:
        A decorator of functions of a list of strings (None for those of the process) that return the exit status or None.
    """

    def decorate(command):
        @functools.wraps(command)
        def main(arguments=None):
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("always", category=UserWarning, module="keras_deit")
                    warnings.showwarning = lambda message, *_, **__: print(message, file=sys.stderr)
                    return command(arguments) or 0
            except (ValueError, ImportError, OSError) as error:
                print(f"keras-deit {name}: error: {error}", file=sys.stderr)
                return 2
            except KeyboardInterrupt:
                print("\nInterrupted.", file=sys.stderr)
                return INTERRUPTED

        return main

    return decorate
