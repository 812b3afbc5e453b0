"""The processor cores that this process may use."""

import os


def usable_cores():
    """Number of cores; fewer than the machine has where the process is bound to some (a batch system, a cpuset, `taskset`).

    Example:

    >>> usable_cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
