"""How this process was started: as a command of the package, or not."""

import pathlib
import sys

COMMAND = "keras-deit"


def command_line_of(name):
    """The beginning of a command line that starts a command as this process was started.

    Args:
        name: Name of the command, such as `"train"`.

    Returns:
        List of strings: `["python", "scripts/train.py"]` if that script is running, otherwise `["keras-deit", "train"]`.
    """
    script = pathlib.Path(sys.argv[0])
    return ["python", str(script)] if _is_script(script) and script.stem == name else [COMMAND, name]


def is_command():
    """Returns whether this process runs `keras-deit` or a script of `scripts/`, and not a Python program of the user."""
    started = pathlib.Path(sys.argv[0]) if sys.argv else pathlib.Path()
    return started.stem in (COMMAND, f"{COMMAND}-script") or _is_script(started)


def _is_script(path):
    """Returns whether a file is a script of this project's checkout; the running package may be installed elsewhere."""
    folder = path.resolve().parent
    return folder.name == "scripts" and (folder.parent / "keras_deit" / "cli" / path.name).is_file()
