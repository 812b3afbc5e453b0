"""The time left, from the mean times of the trainings of each dataset."""

import dataclasses

import pytest

from keras_deit.reproduction.progress import Progress
from keras_deit.reproduction.spec import TEST, Setting, Training

pytestmark = pytest.mark.backend_independent

TRAINING = Training(
    name="digits, 10 per class",
    dataset="digits",
    condition="no teacher",
    labels=10,
    seed=0,
    weights_seed=0,
    steps=20,
    evaluated_on=TEST,
    setting=Setting(),
)


def test_the_time_left_is_the_mean_time_of_each_dataset_over_the_workers(capsys):
    progress = Progress(num_workers=2, expected={"digits": 5, "other": 10})
    progress.report(TRAINING, {"accuracy": 0.5, "seconds": 10.0})
    assert progress.seconds_left() == pytest.approx((4 * 10 + 10 * 10) / 2)
    progress.report(TRAINING, {"accuracy": 0.5, "seconds": 20.0})
    progress.report(dataclasses.replace(TRAINING, dataset="other"), {"accuracy": 0.5, "seconds": 40.0})
    assert progress.seconds_left() == pytest.approx((3 * 15 + 9 * 40) / 2)
    progress.expect("other", 0)
    assert progress.seconds_left() == pytest.approx(3 * 15 / 2)
    assert capsys.readouterr().out.startswith(
        "1/15 digits, 10 per class: 50.0% on the test split, 10 s; 1 min 10 s left"
    )
