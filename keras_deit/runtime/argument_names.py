"""Other names for the arguments that an error message speaks of."""

import re

_VALUE = r"""'[^']*'|"[^"]*"|\([^()]*\)|\[[^][]*\]|[^\s,;)`]+?(?=[.:]?(?:[\s,;)`]|$))"""
_QUOTED = r"""(?<!\w)(?:'[^'\n]*'|"[^"\n]*")(?!\w)"""  # and no apostrophe
_ARGUMENT = re.compile(
    rf"{_QUOTED}|`(?P<name>\w+)`|(?P<quote>`?)(?<![/\\.-])\b(?P<given>\w+)=(?P<value>{_VALUE})(?P=quote)"
)


def replace_arguments(text, replace):
    """Replaces the arguments in a message: `` `name` ``, `name=value` and `` `name=value` ``; not in quotes and paths.

    Args:
        text: The message.
        replace: Function of a name and the text of its value, or None without a value. It returns the text that replaces the
            argument, or None to leave it as it is.

    Returns:
        The message with the replaced arguments.

    Example:

    >>> options = lambda name, value: f"--{name}" if value is None else f"--{name} {value}"
    >>> replace_arguments("`seed` must be at least 0. Received: seed=-1", options)
    '--seed must be at least 0. Received: --seed -1'
    """

    def replaced(match):
        name = match["name"] or match["given"]
        new = name and replace(name, match["value"])
        if new is None:
            return match[0]
        return f"`{new}`" if match["quote"] else new

    return _ARGUMENT.sub(replaced, text)
