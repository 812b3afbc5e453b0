"""The output directory of each process of a run: process 0 alone has the one that the user named."""

import contextlib
import pathlib
import shutil
import tempfile

from keras_deit.runtime import processes
from keras_deit.training import run_directory


@contextlib.contextmanager
def claimed(directory, is_resumed, locks=True):
    """Checks and locks the output directory of a run in process 0. The other processes get a temporary directory.

    Every process computes what is written, since all processes must take the same steps, and the files of the other
    processes are deleted. To resume a run, they copy the files of process 0, which all processes must be able to see.

    Args:
        directory: Output directory of the run.
        is_resumed: Whether the directory holds the run that is continued; otherwise it must be free.
        locks: Whether to lock the directory against other runs.

    Yields:
        Directory of this process.

    Raises:
        ValueError: If the directory is in use.
        ProcessError: In another process, if process 0 raises an error.
    """
    with contextlib.ExitStack() as stack:

        def claim():
            if locks:
                stack.enter_context(run_directory.locked(directory))
            if not is_resumed:
                run_directory.check_free(directory)

        processes.only_main(claim)
        if processes.is_main_process():
            own = directory
        else:
            own = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if is_resumed:
                shutil.copytree(directory, own, dirs_exist_ok=True)
        processes.wait_for_all()  # before process 0 changes what the others copy
        yield own
