"""The picture is written whole, and shows every row that was measured."""

import contextlib

import pytest
from matplotlib import figure

from keras_deit.reproduction import plot
from keras_deit.reproduction.design import BASE, QUICK, comparison
from keras_deit.reproduction.plot import draw_results
from keras_deit.reproduction.results import Results
from keras_deit.reproduction.spec import CONVNET, Setting

pytestmark = pytest.mark.backend_independent


def results(accuracies):
    """The results of the quick study on the digits, with one accuracy for each seed."""
    heads = {"class_accuracy": 0.6, "distillation_accuracy": 0.7}
    finished = []
    for training in comparison(QUICK, "digits", Setting(), Setting(architecture=CONVNET, distillation="none")):
        if training.seed < len(accuracies):
            figures = {"accuracy": accuracies[training.seed], "seconds": 1.0}
            finished.append((training, figures | (heads if training.condition == BASE else {})))
    return Results(QUICK, Setting(), finished)


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_a_picture_is_written(tmp_path, num_seeds):
    draw_results(results([0.8] * num_seeds), "digits", tmp_path / "digits.png")
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("accuracies", [(0.9, 1.0), (0.0, 0.1)])
def test_intervals_beyond_the_possible_accuracies_do_not_widen_the_axis(tmp_path, monkeypatch, accuracies):
    figures = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *arguments, **options: figures.append(self))
    monkeypatch.setattr(plot, "replacing", contextlib.nullcontext)
    draw_results(results(accuracies), "digits", tmp_path / "digits.png")
    lowest, highest = figures[0].axes[0].get_ylim()
    assert lowest >= -1
    assert highest <= 101
