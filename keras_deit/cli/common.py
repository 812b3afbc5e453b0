"""The parser and the error handling that all commands share."""

import argparse
import ast
import contextlib
import functools
import re
import sys
import warnings

from keras_deit.recipes.fields import NONE
from keras_deit.runtime.argument_names import replace_arguments
from keras_deit.runtime.stop_signals import INTERRUPTED

PYTHON_CALLS = {  # in messages that a command passes on, and what does the same on the command line
    "`keras_deit.weights.to_timm`": "an --output that ends in .safetensors",
    "`keras_deit.weights.to_huggingface`": "an --output without a file extension, for transformers",
}


NEGATIVE_VALUE = re.compile(r"-[\d.]")
LONG_OPTION = re.compile(r"--\w[\w-]*")  # without a value


class CommandParser(argparse.ArgumentParser):
    """Parser whose options take values such as `-1,1`, which `argparse` would take for options."""

    def parse_args(self, args=None, namespace=None):
        """Parses the arguments, see `argparse.ArgumentParser.parse_args`."""
        return super().parse_args(_with_joined_values(sys.argv[1:] if args is None else args), namespace)


def _with_joined_values(arguments):
    """The arguments with `--option=-1,1` in place of `--option` and `-1,1`."""
    joined = []
    for argument in arguments:
        if joined and NEGATIVE_VALUE.match(argument) and LONG_OPTION.fullmatch(joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def make_parser(name, description):
    """Makes the parser of a command, which takes no abbreviated options.

    Args:
        name: Name of the command.
        description: Text of the help, printed with its line breaks.

    Returns:
        A `CommandParser`.
    """
    return CommandParser(
        prog=f"keras-deit {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def in_options(text, parser):
    """Names the options of a command in a message that speaks of the arguments of Python.

    Args:
        text: Message, such as `` "`batch_size` must be positive. Received: batch_size=0" ``.
        parser: `argparse.ArgumentParser` of the command. Other arguments than those of its options are left as they are.

    Returns:
        The message, such as `"--batch-size must be positive. Received: --batch-size 0"`.
    """
    known = set(re.findall(r"--[\w-]+", parser.format_help()))

    def replace(name, value):
        option = "--" + name.replace("_", "-")
        if option not in known:
            return None
        if value is None or value == "True":
            return option
        if value == "False":
            return option.replace("--", "--no-", 1)
        return f"{option} {_option_value(name, value)}"

    for call, words in PYTHON_CALLS.items():
        text = text.replace(call, words)
    return replace_arguments(text, replace)


def _option_value(name, value):
    """The value of an argument as the text of an option, such as `0,255` for `(0, 255)`."""
    try:
        value = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # an expression
        return value
    if value is None:
        return NONE
    if value is ...:
        return "..."
    if not isinstance(value, (tuple, list)):
        return str(value)
    items = [str(item) for item in value]
    return items[0] if name.endswith("image_size") and len(set(items)) == 1 else ",".join(items)


def print_error(parser, error):
    """Prints an error that the user of a command can correct, as one line that names the command's options."""
    print(f"{parser.prog}: error: {in_options(str(error), parser)}", file=sys.stderr)


@contextlib.contextmanager
def plain_warnings(parser):
    """Prints each warning of this package once, without the line of code that caused it, while the block runs."""

    @functools.cache  # Python forgets which warnings it has shown where other code changes the filters for a moment
    def show(text):
        print(in_options(text, parser), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning, module="keras_deit")
        warnings.showwarning = lambda message, *_, **__: show(str(message))
        yield


def reporting(command):
    """Makes a command print errors that its user can correct, instead of raising them.

    An error makes the command return 2. Warnings are printed without the line of code that caused them.

    Args:
        command: Function that takes the namespace of the command's parser and returns the exit status or None.

    Returns:
        A function that takes the parser, whose options the messages name, and the namespace, and returns the exit status.
    """

    @functools.wraps(command)
    def main(parser, options):
        try:
            with plain_warnings(parser):
                return command(options) or 0
        except (ValueError, ImportError, OSError) as error:
            print_error(parser, error)
            return 2
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            return INTERRUPTED

    return main
