"""Number of usable processor cores."""

import os


def usable_cores():
    """Returns the number of processor cores that this process may use.

    It is less than that of the machine if the process is bound to some cores (by a batch system, a cpuset or `taskset`).

    Returns:
        Positive int.

    Example:

    >>> usable_cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
