"""Plugin of pytest that runs the code blocks of the pages: `python -m pytest -p docs.run_code docs/models.md`.

The Python blocks of a page run one after the other in one namespace, in a directory that `docs/code_setting.py` fills. The
outputs in blocks with the language `pycon` are compared. Of shell blocks, the commands `keras-deit` run; of a command that
another program starts (`srun`) and of `python scripts/...`, only the options are checked. A word after the language marks a
block that only has to compile or to parse; the word is not visible on the page:

- `network`, `gpu`, `cluster`: the block needs a network, a GPU or several machines;
- `slow`: the block takes more than a minute.
"""

import contextlib
import doctest
import pathlib
import re
import subprocess

from sybil import Region, Sybil
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator, pad
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from docs import code_setting

MARKS = ("network", "gpu", "cluster", "slow")
NOT_RUN = ("", "json", "kotlin", "toml", "yaml")  # what a command prints, and excerpts of other files
INFO = re.compile(r"(?P<language>\S*)(?P<mark>[^\n]*)\n")


def compile_python(example):
    """Compiles a Python block without running it."""
    compile(pad(example.parsed, example.line), example.path, "exec")


def check_shell(example):
    """Checks the syntax of a shell block, and the options of its commands that are this project's."""
    subprocess.run(["bash", "-n"], input=example.parsed.encode(), check=True)
    for command in code_setting.commands_of(example.parsed):
        code_setting.parse(command.arguments)


def run_shell(example):
    """Runs the `keras-deit` commands of a shell block in this process."""
    check_shell(example)
    code_setting.run_commands(example.parsed)


EVALUATORS = {"python": PythonEvaluator(), "bash": run_shell}
CHECKS = {"python": compile_python, "bash": check_shell}
_doctests = DocTestStringParser(DocTestEvaluator(doctest.NORMALIZE_WHITESPACE))
_setting = contextlib.ExitStack()


def enter_setting(example):
    """Prepares the directory and the variables of a page."""
    page = code_setting.for_page(example.path, example.namespace)
    _setting.enter_context(page)


def parse_blocks(document):
    """Yields the code blocks of a page, and before them what prepares their setting."""
    yield Region(0, 0, "", enter_setting)
    for region in RawFencedCodeBlockLexer(INFO)(document):
        language, mark = region.lexemes["language"], region.lexemes["mark"].strip()
        source = region.lexemes["source"]
        if mark and mark not in MARKS:
            raise ValueError(f"{document.path}: the mark of a block must be one of {MARKS}. Received: {mark!r}")
        if language in NOT_RUN:
            continue
        if language == "pycon":
            for example in _doctests(source, document.path):
                example.adjust(region, source)
                yield example
        elif language in EVALUATORS:
            yield Region(region.start, region.end, source, (CHECKS if mark else EVALUATORS)[language])
        else:
            languages = (*EVALUATORS, "pycon", *filter(None, NOT_RUN))
            raise ValueError(
                f"{document.path}: the language of a block must be one of {languages}. Received: {language!r}"
            )


pytest_collect_file = Sybil(
    [parse_blocks],
    path=str(pathlib.Path(__file__).parents[1]),
    patterns=["*.md"],
    teardown=lambda namespace: _setting.close(),
).pytest()
