"""Runs a notebook, with the images and the models of `docs/code_setting.py`.

`python -m docs.run_notebook docs/notebooks/fine_tuning.ipynb` runs it from the root folder.
"""

import os
import pathlib
import sys

import nbclient
import nbformat

from docs.make_notebooks import ROOT, ROOT_FOLDER

PREPARE = """\
from docs import code_setting
page = code_setting.for_page({name!r})
page.__enter__()
get_ipython().system = code_setting.run_commands
"""


def run(path):
    """Runs the notebook of a guide; a cell that fails raises an error."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells.pop(0).source == ROOT_FOLDER  # the page has a directory of its own
    name = pathlib.Path(path).with_suffix(".md").name
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PREPARE.format(name=name)))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    run(sys.argv[1])
