"""The directory of a study: results are written whole, and changed settings are refused."""

import dataclasses

import keras
import pytest

from keras_deit.reproduction import store as store_module
from keras_deit.reproduction.design import QUICK, comparison
from keras_deit.reproduction.spec import CONVNET, Setting
from keras_deit.reproduction.store import Store

pytestmark = pytest.mark.backend_independent

TRAININGS = comparison(QUICK, "digits", Setting(), Setting(architecture=CONVNET, distillation="none"))
MODEL = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_a_result_is_read_as_it_was_written(tmp_path):
    store = Store(tmp_path)
    for training in TRAININGS[:3]:
        store.write(training, MODEL if training.is_teacher else None, {"accuracy": 0.25, "seconds": 2.0})
    assert store.count_unfinished(TRAININGS) == len(TRAININGS) - 3
    assert store.figures(TRAININGS[1].name) == {"accuracy": 0.25, "seconds": 2.0}
    assert {training for training, _ in store.finished()} == set(TRAININGS[:3])


def test_a_training_without_its_teacher_file_is_not_finished(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(store_module, "write_json", fail)
    store = Store(tmp_path)
    with pytest.raises(OSError, match="no space"):
        store.write(TRAININGS[0], MODEL, {"accuracy": 0.5})
    assert not store.has(TRAININGS[0])
    assert store.load_model(TRAININGS[0].name).output_shape == (None, 1)


def test_a_teacher_whose_model_was_deleted_is_not_finished(tmp_path):
    store = Store(tmp_path)
    store.write(TRAININGS[0], MODEL, {"accuracy": 0.5})
    assert store.has(TRAININGS[0])
    next(tmp_path.glob("teachers/*.keras")).unlink()
    assert not store.has(TRAININGS[0])
    assert store.count_unfinished(TRAININGS[:1]) == 1


def test_a_finished_training_of_other_settings_is_refused(tmp_path):
    student = next(training for training in TRAININGS if not training.is_teacher)
    store = Store(tmp_path)
    store.write(student, None, {"accuracy": 0.5})
    assert store.has(student)
    changed = dataclasses.replace(student, setting=dataclasses.replace(student.setting, learning_rate=0.5))
    with pytest.raises(ValueError, match=r"finished with other settings\. Received: .*learning_rate=0\.5.* instead of"):
        store.has(changed)


def test_the_same_settings_continue_and_others_are_refused(tmp_path):
    Store(tmp_path).claim({"steps": 300, "seeds": (0, 1)})
    Store(tmp_path).claim({"steps": 300, "seeds": (0, 1)})
    with pytest.raises(ValueError, match=r"other settings: steps\. Received: steps=600 instead of 300"):
        Store(tmp_path).claim({"steps": 600, "seeds": (0, 1)})
