"""The picture is written whole, and shows every row that was measured."""

import pytest

from keras_deit.reproduction.design import BASE, QUICK, comparison
from keras_deit.reproduction.plot import draw_results
from keras_deit.reproduction.results import Results
from keras_deit.reproduction.spec import CONVNET, Setting

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_a_picture_is_written(tmp_path, num_seeds):
    trainings = comparison(QUICK, "digits", Setting(), Setting(architecture=CONVNET, distillation="none"))
    heads = {"class_accuracy": 0.6, "distillation_accuracy": 0.7}
    figures = {"accuracy": 0.8, "seconds": 1.0}
    finished = [
        (training, figures | (heads if training.condition == BASE else {}))
        for training in trainings
        if training.seed < num_seeds
    ]
    draw_results(Results(QUICK, Setting(), finished), "digits", tmp_path / "digits.png")
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
