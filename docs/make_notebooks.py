"""Writes the first guides as notebooks to `docs/notebooks`.

Run it from the root folder after a change of a guide: `python docs/make_notebooks.py`. The page is the only source. Blocks
of Python and of shell become cells of code. The text between the blocks becomes cells of text. A block with a mark, such as
`network`, stays text. `docs/run_notebook.py` runs a notebook.
"""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = DOCS / "notebooks"
GUIDES = ("getting_started", "distil_your_cnn", "fine_tuning")
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BACKGROUND = re.compile(
    r" > \S+ 2>&1 &$|^tail -f .*$", re.MULTILINE
)  # a cell waits for its command, and shows the output
ROOT_FOLDER = "# the root folder of the repository\n%cd ../.."
LINK = re.compile(r"\]\((?!https?:|#)")


def code_cell(language, source):
    """Returns a cell of Python code, or of shell commands, each of which begins with `!`."""
    if language == "bash":
        commands = BACKGROUND.sub("", source).strip().replace("\\\n", "\\\0").splitlines()
        source = "\n".join(f"!{command}" for command in commands if command).replace("\0", "\n")
    return {"cell_type": "code", "source": source.strip(), "metadata": {}, "outputs": [], "execution_count": None}


def text_cell(text):
    """Returns a cell of text, in which links to files lead out of the folder of the notebooks."""
    return {"cell_type": "markdown", "source": LINK.sub("](../", text.strip()), "metadata": {}}


def notebook_of(guide):
    """Returns the notebook of a guide, as the text of a file."""
    text = (DOCS / f"{guide}.md").read_text(encoding="utf-8")
    text = text.replace(f"[This page as a notebook](notebooks/{guide}.ipynb)\n\n", "")
    cells, end = [code_cell("python", ROOT_FOLDER)], 0
    for block in BLOCK.finditer(text):
        cells += [text_cell(text[end : block.start()]), code_cell(*block.groups())]
        end = block.end()
    cells = [cell for cell in (*cells, text_cell(text[end:])) if cell["source"]]
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"
        cell["source"] = cell["source"].splitlines(keepends=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for guide in GUIDES:
        (NOTEBOOKS / f"{guide}.ipynb").write_text(notebook_of(guide), encoding="utf-8")
