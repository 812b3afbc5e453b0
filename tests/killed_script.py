"""Runs a script with the short variant and kills it: `python tests/killed_script.py 2 scripts/train.py ...`.

The number is that of a checkpoint: half of its file is written, then the process gets SIGKILL.
"""

import os
import runpy
import signal
import sys

import numpy as np
import pytest

from tests.runs import add_short_variant

if __name__ == "__main__":
    number, sys.argv = int(sys.argv[1]), sys.argv[2:]
    numbers, save = iter(range(1, 1000)), np.savez

    def save_and_die(path, **arrays):
        save(path, **arrays)
        if next(numbers) == number:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        add_short_variant(patch)
        patch.setattr(np, "savez", save_and_die)
        runpy.run_path(sys.argv[0], run_name="__main__")
