"""The progress of a long computation."""

import io

import pytest

from keras_deit.runtime import progress_bar as module
from keras_deit.runtime.progress_bar import progress_bar

pytest.importorskip("tqdm", reason="the progress bar is tqdm's")
pytestmark = pytest.mark.backend_independent


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_file_gets_a_line_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    with progress_bar(2000, "reading train", "images") as bar:
        for _ in range(12):
            now[0] += 25.0
            bar.update(100)
        bar.reset()
        now[0] += 100.0
        bar.update(500)
    assert capsys.readouterr().err.splitlines() == [
        "reading train: 300 of 2,000 images, 7 min 5 s left",
        "reading train: 600 of 2,000 images, 5 min 50 s left",
        "reading train: 900 of 2,000 images, 4 min 35 s left",
        "reading train: 1,200 of 2,000 images, 3 min 20 s left",
        "reading train: 500 of 2,000 images, 5 min 0 s left",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(module.sys, "stderr", Terminal())
    with progress_bar(10, "reading train", "images") as bar:
        bar.update(10)
    assert "\rreading train: 100%" in module.sys.stderr.getvalue()


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_nothing_is_shown_if_it_is_not_wanted(make, monkeypatch):
    monkeypatch.setattr(module.sys, "stderr", make())
    with progress_bar(10, "reading train", "images", shown=False) as bar:
        bar.update(10)
    assert module.sys.stderr.getvalue() == ""
