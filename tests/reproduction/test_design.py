"""Which trainings exist, and that conditions differ in one factor."""

import dataclasses

import pytest

from keras_deit.reproduction import design as designs
from keras_deit.reproduction.design import BASE, CONDITIONS, FULL, NO_TEACHER, QUICK, STRONG, TABLE_3
from keras_deit.reproduction.spec import CONVNET, TEST, TRANSFORMER, VALIDATION, Setting

pytestmark = pytest.mark.backend_independent

CHOSEN = Setting(learning_rate=2e-3, augmentation="crops", hidden_dim=96)
CONV = Setting(architecture=CONVNET, distillation="none", distilled=False)


def changed(setting, other):
    return {
        field.name
        for field in dataclasses.fields(setting)
        if getattr(setting, field.name) != getattr(other, field.name)
    }


@pytest.mark.parametrize("base", [CHOSEN, Setting(), Setting(augmentation="strong")])
def test_each_condition_differs_from_its_reference_in_one_factor_at_most(base):
    for name, condition in CONDITIONS.items():
        if condition.reference is None:
            assert designs.setting_of(name, base) == base
        else:
            factors = changed(designs.setting_of(name, base), designs.setting_of(condition.reference, base))
            assert factors <= condition.change.keys(), name
            assert len(condition.change) == 1, name


def test_conditions_without_a_difference_are_trained_once():
    base = Setting(augmentation="strong")
    assert designs.trained_as((BASE, STRONG, NO_TEACHER), base) == {BASE: BASE, STRONG: BASE, NO_TEACHER: NO_TEACHER}
    names = [training.condition for training in designs.comparison(FULL, "digits", base, CONV)]
    assert STRONG not in names


def test_the_whole_study_has_every_condition_with_every_seed():
    trainings = designs.comparison(FULL, "digits", CHOSEN, CONV)
    for seed in range(5):
        of_seed = [training for training in trainings if training.seed == seed]
        for labels in (10, 100, None):
            found = {training.condition for training in of_seed if training.labels == labels}
            assert found == {CONVNET, *TABLE_3}
        found = [training.condition for training in of_seed if training.labels == 30]
        assert sorted(found) == sorted({CONVNET, TRANSFORMER, *CONDITIONS} - {"random crops"})  # the base has crops
    assert len(trainings) == 5 * (3 * 5 + 12)
    assert len({training.name for training in trainings}) == len(trainings)


def test_a_training_has_the_images_of_its_teacher_and_comes_after_it():
    trainings = designs.comparison(FULL, "digits", CHOSEN, CONV)
    seen = {}
    for training in trainings:
        seen[training.name] = training
        if training.setting.distillation == "none":
            assert training.teacher is None
            continue
        teacher = seen[training.teacher]
        assert teacher.is_teacher
        assert teacher.condition == training.setting.teacher
        assert (teacher.labels, teacher.seed, teacher.dataset) == (training.labels, training.seed, training.dataset)
        assert teacher.weights_seed != training.weights_seed


def test_the_test_split_is_for_the_comparison_alone():
    convnets = designs.teacher_candidates(FULL, "digits")
    students = [training for pair in designs.student_candidates(FULL, "digits", convnets[0].name) for training in pair]
    assert {training.evaluated_on for training in (*convnets, *students)} == {VALIDATION}
    assert {training.evaluated_on for training in designs.comparison(FULL, "digits", CHOSEN, CONV)} == {TEST}
    assert not {training.seed for training in (*convnets, *students)} & set(FULL.seeds)


def test_a_candidate_is_trained_with_and_without_a_teacher():
    pairs = designs.student_candidates(QUICK, "digits", "the convnet")
    assert len(pairs) == 4
    for distilled, plain in pairs:
        assert (distilled.teacher, plain.teacher) == ("the convnet", None)
        assert plain.setting == designs.setting_of(NO_TEACHER, distilled.setting)
