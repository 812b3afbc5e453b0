"""Import of optional dependencies."""

import importlib


def require(module, extra, purpose):
    """Imports an optional module, or raises an error that names the extra to install.

    Args:
        module: Name of the module, for example `"matplotlib.pyplot"`.
        extra: The extra of `keras-deit` that installs it, for example `"train"`.
        purpose: The purpose of the module, as the subject of the error message, for example `"Drawing the curves"`.

    Returns:
        The imported module.

    Raises:
        ImportError: If the module is not installed.

    Example:

    >>> require("json", extra="train", purpose="Reading a report").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the module is installed, but one that it needs is not: its own message names it
        raise ImportError(
            f"{purpose} needs `{module.split('.')[0]}`, which is not installed. "
            f"Install it with: pip install 'keras-deit[{extra}]' (from a clone: pip install '.[{extra}]')"
        ) from error
