"""The directory of a study: its settings, and one file for each finished training."""

import dataclasses
import datetime
import json

from keras_deit.reproduction.spec import Training
from keras_deit.runtime.files import replacing, user_path, write_json
from keras_deit.runtime.keras_file import load_keras_file


class Store:
    """The directory of a study.

    Args:
        directory: Path.
    """

    def __init__(self, directory):
        self.directory = user_path(directory)

    def claim(self, settings):
        """Writes the settings of the study, or checks that a study that is continued has the same ones.

        Args:
            settings: Dictionary that JSON can hold.

        Raises:
            ValueError: If the directory has the trainings of other settings.
        """
        path = self.directory / "study.json"
        settings = json.loads(json.dumps(settings))  # with lists in place of tuples, as in the file
        if not path.exists():
            write_json(path, settings)
            return
        earlier = _read(path)
        changed = sorted(name for name in earlier.keys() | settings.keys() if earlier.get(name) != settings.get(name))
        if changed:
            name = changed[0]
            raise ValueError(
                f"The study in {str(self.directory)!r} was begun with other settings: {', '.join(changed)}. Received: "
                f"{name}={settings.get(name)!r} instead of {earlier.get(name)!r}. Repeat the earlier command to continue "
                "it, or pass another `output_dir`."
            )

    def has(self, training):
        """Returns whether a `Training` is finished: its figures are written and, if others may need it, its model.

        Raises:
            ValueError: If the finished training of this name has other settings.
        """
        if not self._is_written(training):
            return False
        earlier = _training_of(_read(self._figures_path(training.name)))
        if earlier != training:
            raise ValueError(
                f"The training {training.name!r} in {str(self.directory)!r} was finished with other settings. Received: "
                f"{training} instead of {earlier}. Pass another `output_dir`."
            )
        return True

    def count_unfinished(self, trainings):
        """Counts those of a list of `Training` that are not finished, by their names."""
        return sum(not self._is_written(training) for training in trainings)

    def write(self, training, model, figures):
        """Writes the result of a training, whole or not at all.

        Args:
            training: `Training`.
            model: The trained Keras model, which is kept; None if no training needs it as a teacher.
            figures: Dictionary of floats.
        """
        if model is not None:
            with replacing(self._model_path(training.name)) as temporary:
                model.save(temporary)
        record = {**dataclasses.asdict(training), "figures": figures, "date": datetime.date.today().isoformat()}
        write_json(self._figures_path(training.name), record)

    def figures(self, name):
        """The figures of a finished training, a dictionary of floats."""
        return _read(self._figures_path(name))["figures"]

    def finished(self):
        """Lists the finished trainings.

        Returns:
            List of pairs: `Training`, and its dictionary of figures.
        """
        found = []
        for path in sorted(self.directory.glob("trainings/*.json")):
            record = _read(path)
            found.append((_training_of(record), record["figures"]))
        return found

    def dates(self):
        """The first and the last day on which a training was finished, a pair of `datetime.date`."""
        dates = [_read(path)["date"] for path in self.directory.glob("trainings/*.json")]
        return datetime.date.fromisoformat(min(dates)), datetime.date.fromisoformat(max(dates))

    def load_model(self, name):
        """Loads the model of a training that was kept."""
        return load_keras_file(self._model_path(name))

    def _is_written(self, training):
        model_exists = not training.is_teacher or self._model_path(training.name).exists()
        return model_exists and self._figures_path(training.name).exists()

    def _figures_path(self, name):
        return self.directory / "trainings" / f"{_slug(name)}.json"

    def _model_path(self, name):
        return self.directory / "teachers" / f"{_slug(name)}.keras"


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _training_of(record):
    return Training.of({field.name: record[field.name] for field in dataclasses.fields(Training)})


def _slug(name):
    return name.replace(", ", "-").replace(" ", "_")
