"""Runs the code of the pages and the notebooks, one process for each, as many at a time as there are cores.

`python -m docs.run_all` runs all of them, `python -m docs.run_all docs/models.md` those that are named.
"""

import concurrent.futures
import subprocess
import sys
import time

from docs.make_notebooks import GUIDES, NOTEBOOKS, ROOT
from keras_deit.runtime.cores import usable_cores

RUN_PAGE = ("pytest", "-o", "addopts=", "-p", "docs.run_code")
RUN_NOTEBOOK = ("docs.run_notebook",)


def pages_and_notebooks():
    """Returns the paths of all pages and notebooks, relative to the root folder."""
    pages = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
    return [*pages, *(f"{NOTEBOOKS.relative_to(ROOT)}/{guide}.ipynb" for guide in GUIDES)]


def run(path):
    """Runs the code of a page or of a notebook.

    Args:
        path: Path of a `.md` or `.ipynb` file, relative to the root folder.

    Returns:
        Whether the code ran to its end; its output and the time are printed.
    """
    module = RUN_NOTEBOOK if path.endswith(".ipynb") else RUN_PAGE
    begin = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-m", *module, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    passed = result.returncode == 0
    output = "" if passed else f"{result.stdout}\n"
    print(f"{output}{path} {'passed' if passed else 'FAILED'} in {time.perf_counter() - begin:.0f} s", flush=True)
    return passed


def main(paths):
    """Runs pages and notebooks.

    Args:
        paths: List of paths as for `run`; an empty list means all.

    Returns:
        The exit status: 1 if the code of one of them failed.
    """
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as threads:
        return 0 if all(list(threads.map(run, paths or pages_and_notebooks()))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
