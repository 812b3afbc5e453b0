"""Runs a script with the short variant: `python tests/short_script.py scripts/train.py --variant deit_short`."""

import runpy
import sys

import pytest

from tests.runs import add_short_variant

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        add_short_variant(patch)
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
