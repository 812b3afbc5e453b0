"""How fast a run trains, and how long it goes on."""

import pytest

from keras_deit.training.pace import Pace

pytestmark = pytest.mark.backend_independent
COMPILATION, STEP, VALIDATION, PAUSE = 60.0, 2.0, 9.0, 1.5


class Training:
    """A training in a time of its own: each part of it advances the clock."""

    def __init__(self):
        self.now = 1000.0
        self.pace = Pace(batch_size=4, test_images=12, clock=lambda: self.now)
        self.pace.begin()

    def steps(self, *seconds):
        for taken in seconds:
            self.now += taken
            self.pace.end_step()

    def validate(self, seconds):
        self.pace.begin_validation()
        self.now += seconds
        self.pace.end_validation()


def test_nothing_is_known_before_the_second_step():
    training = Training()
    training.steps(COMPILATION)
    assert training.pace.seconds_left(10, 1) is None
    assert training.pace.images_per_second is None
    assert training.pace.measured_seconds == 0


def test_the_compiling_step_is_left_out():
    training = Training()
    training.steps(COMPILATION, STEP, STEP + 2)
    assert training.pace.seconds_per_step == STEP + 1
    assert training.pace.images_per_second == 4 / (STEP + 1)
    assert training.pace.seconds_left(10, validations=0) == 10 * (STEP + 1)


def test_a_validation_is_estimated_bounded_and_then_measured():
    training = Training()
    training.steps(COMPILATION, STEP, STEP)
    assert training.pace.seconds_left(10, validations=2) == 10 * STEP + 2 * 3 * STEP / 3  # of 3 batches
    training.validate(COMPILATION)
    assert training.pace.seconds_left(10, validations=2) == 10 * STEP + 2 * 3 * STEP
    training.validate(VALIDATION)
    assert training.pace.seconds_left(10, validations=2) == 10 * STEP + 2 * VALIDATION
    training.validate(VALIDATION + 2)
    assert training.pace.validation_seconds == VALIDATION + 1


def test_the_estimate_of_a_steady_run_with_pauses_between_epochs_is_right():
    """After the second epoch each estimate is the time that the rest of the run takes."""
    training, estimates, epochs = Training(), [], 6
    for epoch in range(epochs):
        training.steps(*[STEP + (COMPILATION if epoch == 0 else PAUSE), *[STEP] * 7])
        training.validate(VALIDATION + (COMPILATION if epoch == 0 else 0))
        left = epochs - epoch - 1
        estimates.append((training.pace.seconds_left(8 * left, left), left * (8 * STEP + PAUSE + VALIDATION)))
        training.pace.end_epoch()
    for estimate, truth in estimates[1:]:
        assert estimate == pytest.approx(truth, rel=0.05)
    assert estimates[-1] == (0.0, 0.0)


def test_a_change_of_speed_is_followed_within_a_few_epochs():
    training = Training()
    for seconds in [1.0] * 20 + [3.0] * 4:
        training.steps(*[seconds] * 5)
        training.pace.end_epoch()
    assert training.pace.seconds_per_step == pytest.approx(3, rel=0.05)


def test_the_time_between_two_fits_does_not_count():
    training = Training()
    training.steps(COMPILATION, STEP)
    training.now += 500
    training.pace.begin()
    training.steps(STEP, STEP)
    assert training.pace.seconds_per_step == STEP
