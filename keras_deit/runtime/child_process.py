"""Python processes that the package starts."""

import os
import pathlib
import subprocess
import sys

PACKAGE_PARENT = pathlib.Path(__file__).parents[2]
LONGEST_REASON = 200  # characters


def child_environment(backend, **variables):
    """Builds the environment variables of a child process that imports this package.

    Args:
        backend: Name of the child's Keras backend.
        **variables: Further environment variables, strings.

    Returns:
        Dictionary of strings: this process's variables and the given ones. `PYTHONPATH` begins with the folder that contains
        this package, so the child process finds the package even if it is not installed. Other files of the working
        directory, such as a `json.py`, are not imported (`PYTHONSAFEPATH`).

    Example:

    >>> child_environment("jax", OMP_NUM_THREADS="1")["KERAS_BACKEND"]
    'jax'
    """
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    fixed = {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    return {**os.environ, **fixed, **variables}


def run_python(arguments, environment):
    """Runs Python in a child process, and waits for its end.

    Args:
        arguments: List of the arguments of Python, for example `["-m", "json.tool", "--help"]`.
        environment: Dictionary of the environment variables.

    Returns:
        The last line that the child process printed, without the line break; an empty string if nothing was printed.

    Raises:
        RuntimeError: If the child process fails. The message is the last line of its error output, shortened to 200
            characters, or its exit status.

    Example:

    >>> run_python(["-c", "print(6 * 7)"], child_environment("torch"))
    '42'
    """
    command = [sys.executable, *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if result.returncode:
        lines = result.stderr.strip().splitlines() if result.returncode > 0 else []  # a killed process gives no reason
        reason = lines[-1] if lines else f"its process failed with exit status {result.returncode}"
        raise RuntimeError(reason[:LONGEST_REASON])
    return "".join(result.stdout.strip().splitlines()[-1:])


def number_of_python(arguments, environment):
    """Runs Python in a child process that prints a number in its last line.

    Args:
        arguments, environment: As for `run_python`.

    Returns:
        The number, a float.

    Raises:
        RuntimeError: If the child process fails, or if its last line is not a number.

    Example:

    >>> number_of_python(["-c", "print(6 * 7)"], child_environment("torch"))
    42.0
    """
    line = run_python(arguments, environment)
    try:
        return float(line)
    except ValueError:
        raise RuntimeError(f"its process printed no number in the last line: {line!r}"[:LONGEST_REASON]) from None
