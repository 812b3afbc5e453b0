"""The parser and the error handling that all commands share."""

import argparse
import contextlib
import functools
import sys
import warnings

INTERRUPTED = 130  # exit status after Ctrl-C, as in shells


def make_parser(name, description):
    """Makes the parser of a command, which takes no abbreviated options.

    Args:
        name: Name of the command.
        description: Text of the help, printed with its line breaks.

    Returns:
        An `argparse.ArgumentParser`.
    """
    return argparse.ArgumentParser(
        prog=f"keras-deit {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


@contextlib.contextmanager
def plain_warnings():
    """Prints each warning of this package once, without the line of code that caused it, while the block runs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning, module="keras_deit")
        warnings.showwarning = lambda message, *_, **__: print(message, file=sys.stderr)
        yield


def reporting(name):
    """Makes a command print errors that its user can correct, instead of raising them.

    An error makes the command return 2. Warnings are printed without the line of code that caused them.

    Args:
        name: Name of the command.

    Returns:
        A decorator of functions that take a list of strings (None means the arguments of the process) and return the exit
        status or None.
    """

    def decorate(command):
        @functools.wraps(command)
        def main(arguments=None):
            try:
                with plain_warnings():
                    return command(arguments) or 0
            except (ValueError, ImportError, OSError) as error:
                print(f"keras-deit {name}: error: {error}", file=sys.stderr)
                return 2
            except KeyboardInterrupt:
                print("\nInterrupted.", file=sys.stderr)
                return INTERRUPTED

        return main

    return decorate
