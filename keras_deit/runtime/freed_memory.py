"""Keeping freed memory in the process, which avoids page faults."""

import ctypes
import os

# Parameters of `mallopt` in the header malloc.h of glibc, and their values in bytes. glibc itself raises the two thresholds
# up to these values while a process frees large blocks.
MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2
VALUES = {MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20, TOP_PAD: 64 * 2**20}
VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory():
    """Lets this process keep freed memory for later allocations, on Linux with glibc.

    Without this call, glibc returns the memory of large freed arrays to the operating system. Each sample then uses new
    memory, and its first use causes a page fault for every 4 kB. Arrays of 32 MiB or more use new memory also after this
    call, since glibc accepts no larger threshold. A float32 batch of 56 images of 224 pixels is such an array.

    The call changes the whole process until it ends: up to 64 MiB of freed memory in each arena of glibc stay with the
    process. A process with many threads can have eight arenas for each core, so this can be up to 512 MiB for each core. The
    environment variable `MALLOC_ARENA_MAX` limits the number of arenas. The package makes this call when a process begins to
    make training batches, not when the package is imported.

    Returns:
        A boolean: whether the settings were changed. They stay unchanged with another C library, and if the user has chosen
        settings of glibc's allocator by environment variables.

    Reference:
        The manual page mallopt(3) of Linux.
    """
    if not _has_glibc() or any(name in os.environ for name in VARIABLES):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [mallopt(parameter, value) for parameter, value in VALUES.items()]
    return all(accepted)


def _has_glibc():
    names = getattr(os, "confstr_names", {})
    return "CS_GNU_LIBC_VERSION" in names and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
