"""The processor cores that this process may use."""

import os


def usable_cores():
    """Number of cores; fewer than the machine has where a container, a batch system or `taskset` says so.

    Example:

    >>> usable_cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
