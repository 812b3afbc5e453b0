"""The whole study with figures that are not trained: search, comparison, report; and one small study that is."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_deit.reproduction import design as designs
from keras_deit.reproduction import study
from keras_deit.reproduction.design import BASE, NO_TEACHER, QUICK, USUAL_HARD
from keras_deit.reproduction.images import load_split
from keras_deit.reproduction.spec import CONVNET, TEST, VALIDATION

pytestmark = pytest.mark.backend_independent


class FakeModel:
    """Saves an empty file."""

    def save(self, path):
        path.touch()


class FakeWorkers:
    """Gives each training an accuracy that follows from its setting, without training."""

    trained = ()

    def __init__(self, number):
        type(self).trained = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, trainings, store, progress):
        for training in trainings:
            if not store.has(training):
                self.trained.append(training)
                store.write(training, FakeModel() if training.is_teacher else None, self.figures(training))
                progress.report(training, store.figures(training.name))

    @staticmethod
    def figures(training):
        setting = training.setting
        accuracy = 0.5 + 0.1 * (setting.distillation == "hard") + 0.001 * training.seed % 7 / 100
        accuracy += 0.1 * (setting.augmentation == "crops") - setting.learning_rate
        diverged = float(setting.learning_rate == 4e-3)
        figures = {"accuracy": accuracy, "class_accuracy": accuracy - 0.01, "diverged": diverged, "seconds": 1.0}
        return figures | ({"distillation_accuracy": accuracy} if setting.distilled else {})


@pytest.fixture
def faked(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "Workers", FakeWorkers)
    return lambda **options: study.reproduce(quick=True, output_dir=tmp_path / "out", num_workers=1, **options)


def test_the_base_is_the_best_setting_of_the_validation_split(faked):
    faked()
    compared = next(one for one in FakeWorkers.trained if one.evaluated_on == TEST and one.condition == BASE)
    assert (compared.setting.augmentation, compared.setting.learning_rate) == ("crops", 2e-3)
    convnet = next(one for one in FakeWorkers.trained if one.evaluated_on == TEST and one.condition == CONVNET)
    assert convnet.setting.augmentation == "crops"
    first_compared = next(index for index, one in enumerate(FakeWorkers.trained) if one.evaluated_on == TEST)
    assert {one.evaluated_on for one in FakeWorkers.trained[:first_compared]} == {VALIDATION}
    assert {one.evaluated_on for one in FakeWorkers.trained[first_compared:]} == {TEST}


def test_the_report_has_the_table_the_findings_and_the_choice(faked, tmp_path):
    (path,) = faked(report_dir=tmp_path / "docs")
    text = path.read_text(encoding="utf-8")
    assert path.name == "digits_quick.md"
    assert "| no teacher |" in text
    assert "| distillation token: both heads |" in text
    assert "- Hard distillation is better than no teacher. Table 3. **undecided (30 per class)**" in text  # two seeds
    assert "validation accuracy" in text
    rows = path.with_suffix(".csv").read_text().splitlines()
    assert len(rows) == 1 + sum(one.evaluated_on == TEST for one in FakeWorkers.trained)
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_report_states_the_command_the_days_and_the_size_of_the_measurement(faked, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    faked(report_dir="docs/my results")
    for path, date in zip((tmp_path / "out/digits/trainings").iterdir(), ["2026-01-30", "2026-02-03"], strict=False):
        path.write_text(json.dumps({**json.loads(path.read_text()), "date": date}))
    (path,) = faked(report_dir="docs/my results")
    text = path.read_text(encoding="utf-8")
    options = "--dataset digits --output-dir out --report-dir 'docs/my results' --quick"
    assert f"- Command: `KERAS_BACKEND={keras.backend.backend()} python scripts/reproduce.py {options}`\n" in text
    assert "- Date: 30 January 2026 to " in text
    assert str(tmp_path) not in text
    assert "- Diverged: 4 trainings\n" in text  # with and without a teacher, for two augmentations
    assert "- Seeds: 2\n" in text
    assert "600 steps of 32 images, or of all images if there are fewer" in text


def test_the_command_has_the_path_as_it_was_given():
    command = study._command("data/fashion_mnist.npz", quick=False, directories={"--output-dir": None})
    assert command.endswith(" python scripts/reproduce.py --dataset data/fashion_mnist.npz")


def test_a_second_call_trains_nothing_and_other_settings_are_refused(faked, monkeypatch):
    faked()
    assert FakeWorkers.trained
    faked()
    assert not FakeWorkers.trained
    monkeypatch.setattr(designs, "QUICK", dataclasses.replace(QUICK, steps=40))
    with pytest.raises(ValueError, match="steps=40 instead of"):
        faked()


@pytest.mark.parametrize("name", ["AUGMENTATIONS", "SMALL_DATA", "versions"])
def test_other_settings_of_the_package_are_refused(faked, monkeypatch, name):
    faked()
    changed = {
        "AUGMENTATIONS": {**study.AUGMENTATIONS, "crops": study.AUGMENTATIONS["none"]},
        "SMALL_DATA": dataclasses.replace(study.SMALL_DATA, weight_decay=0.5),
        "versions": lambda: {"keras": "0.0"},
    }
    monkeypatch.setattr(study, name, changed[name])
    with pytest.raises(ValueError, match="begun with other settings"):
        faked()


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_labels_of_the_same_images_are_refused(faked, monkeypatch, split):
    faked()

    def relabelled(dataset, name):
        images = load_split(dataset, name)
        return dataclasses.replace(images, labels=9 - images.labels) if name == split else images

    monkeypatch.setattr(study, "load_split", relabelled)
    with pytest.raises(ValueError, match="other settings: images"):
        faked()


def test_two_datasets_of_one_name_are_refused(faked):
    with pytest.raises(ValueError, match="same name"):
        faked(datasets=("a/digits.npz", "digits"))


def test_classes_with_too_few_images_are_refused(faked, monkeypatch):
    monkeypatch.setattr(designs, "QUICK", dataclasses.replace(QUICK, main_labels=500, labels=(500,)))
    with pytest.raises(ValueError, match="more than 500 training images of each class"):
        faked()


def test_a_test_split_without_labels_is_refused_before_the_first_training(faked, monkeypatch):
    def unlabelled(dataset, split):
        images = load_split(dataset, split)
        return dataclasses.replace(images, labels=np.full(len(images), -1)) if split == "test" else images

    monkeypatch.setattr(study, "load_split", unlabelled)
    with pytest.raises(ValueError, match="needs a test split with labels"):
        faked()


def test_numbers_of_labels_that_the_dataset_lacks_are_left_out(faked, monkeypatch):
    monkeypatch.setattr(designs, "QUICK", dataclasses.replace(QUICK, labels=(30, 300, None)))
    faked()
    assert {one.labels for one in FakeWorkers.trained} == {30, None}


def test_a_small_study_trains_in_worker_processes(tmp_path, monkeypatch):
    small = dataclasses.replace(
        QUICK,
        seeds=(0,),
        conditions=(BASE, USUAL_HARD, NO_TEACHER),
        steps=20,
        learning_rates=(1e-3,),
        augmentations=("none",),
        sizes=((16, 1),),
        teacher_augmentations=("none",),
    )
    monkeypatch.setattr(designs, "QUICK", small)
    (path,) = study.reproduce(quick=True, output_dir=tmp_path, num_workers=1)
    text = path.read_text(encoding="utf-8")
    assert "**undecided (30 per class)**" in text  # one seed has no interval
    assert len(list((tmp_path / "digits" / "trainings").iterdir())) == 3 + 4
