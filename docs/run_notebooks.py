"""Runs the notebooks in `docs/notebooks`, with the images and the models of `docs/code_setting.py`."""

import os
import pathlib

import nbclient
import nbformat

from docs.make_notebooks import GUIDES, NOTEBOOKS, ROOT_FOLDER

ROOT = pathlib.Path(__file__).parents[1]
PREPARE = """\
from docs import code_setting
page = code_setting.for_page({name!r})
page.__enter__()
get_ipython().system = code_setting.run_commands
"""


def run(guide):
    """Runs the notebook of a guide; a cell that fails raises an error."""
    notebook = nbformat.read(NOTEBOOKS / f"{guide}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells.pop(0).source == ROOT_FOLDER  # the page has a directory of its own
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PREPARE.format(name=f"{guide}.md")))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    for name in GUIDES:
        run(name)
        print(f"{name}.ipynb ran to its end.")
