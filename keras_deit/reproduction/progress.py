"""The progress of a study: one line for each finished training, with the time left."""

from keras_deit.runtime.printing import format_duration


class Progress:
    """Prints a line for each finished training.

    Args:
        num_workers: Number of trainings at a time.
        expected: Dictionary from datasets to the number of their trainings that are not finished.
    """

    def __init__(self, num_workers, expected):
        self._num_workers = num_workers
        self._left = dict(expected)
        self._seconds = {}
        self._num_done = 0

    def expect(self, dataset, number):
        """Corrects the number of trainings of a dataset that are not finished."""
        self._left[dataset] = number

    def report(self, training, figures):
        """Prints the accuracy of a training, its time and the time left.

        Args:
            training: `Training` that has finished.
            figures: Its dictionary of figures.
        """
        self._num_done += 1
        self._left[training.dataset] -= 1
        self._seconds.setdefault(training.dataset, []).append(figures["seconds"])
        total = self._num_done + sum(self._left.values())
        print(
            f"{self._num_done}/{total} {training.name}: {figures['accuracy']:.1%} on the {training.evaluated_on} split, "
            f"{figures['seconds']:.0f} s; {format_duration(self.seconds_left())} left",
            flush=True,
        )

    def seconds_left(self):
        """The time left in seconds, from the mean times of the trainings so far."""
        means = {dataset: sum(seconds) / len(seconds) for dataset, seconds in self._seconds.items()}
        overall = sum(means.values()) / len(means)
        return sum(number * means.get(dataset, overall) for dataset, number in self._left.items()) / self._num_workers
