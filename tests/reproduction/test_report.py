"""The report: tables, statement and CSV of given figures."""

import csv
import dataclasses
import io

import pytest

from keras_deit.reproduction.design import BASE, NO_TEACHER, QUICK, STRONG, comparison
from keras_deit.reproduction.report import csv_text, markdown, statement
from keras_deit.reproduction.results import Results
from keras_deit.reproduction.spec import CONVNET, Setting

pytestmark = pytest.mark.backend_independent

BASE_SETTING = Setting(augmentation="strong")
CONV = Setting(architecture=CONVNET, distillation="none")
DESIGN = dataclasses.replace(QUICK, seeds=(0, 1, 2))


@pytest.fixture(scope="module")
def results():
    figures = []
    for training in comparison(DESIGN, "digits", BASE_SETTING, CONV):
        no_teacher = training.condition == NO_TEACHER
        accuracy = 0.6 + 0.02 * training.seed if no_teacher else 0.8 + 0.01 * training.seed
        heads = {"class_accuracy": accuracy - 0.02, "distillation_accuracy": accuracy}
        figures.append(
            (training, {"accuracy": accuracy, "seconds": 1.0, **(heads if training.condition == BASE else {})})
        )
    return Results(DESIGN, BASE_SETTING, figures)


def test_the_table_has_means_and_intervals(results):
    text = markdown(results, "digits", {"Date": "today"}, [(BASE_SETTING, 0.75)])
    # Seeds differ by one point: the standard deviation is 1, and t with 2 degrees of freedom is 4.303, over √3 2.5.
    assert "| no teacher | 62.0 ± 5.0 |" in text  # two points
    assert "| distillation token: class head | 79.0 ± 2.5 |" in text
    assert "- Date: today" in text
    assert "| deit | 64 × 4 | 0.001 | strong | 75.0% |" in text


def test_a_condition_that_the_base_has_is_marked(results):
    text = markdown(results, "digits", {}, [])
    assert f"| {STRONG} | the base has it | 81.0 ± 2.5 | – |" in text
    assert f"| {BASE} |  | 81.0 ± 2.5 | – |" in text
    assert "| no teacher | usual hard distillation | 62.0 ± 5.0 | -19.0 (-21.5 to -16.5) |" in text


def test_the_statement_follows_from_the_differences(results):
    lines = statement(results).splitlines()
    assert "- Hard distillation is better than no teacher. Table 3. **holds (30 per class)**" in lines
    assert "- Both heads together are better than the distillation head. Table 3. **undecided (30 per class)**" in lines
    assert any(line.startswith("- Strong augmentation helps.") for line in lines)
    assert not any(line.startswith("- Attention distillation helps.") for line in lines)  # not in the quick study


def test_the_accuracies_of_the_teachers_stand_beside_their_verdict(results):
    (line,) = (
        line for line in statement(results).splitlines() if line.startswith("- A convnet is the better teacher.")
    )
    assert line.endswith(". Accuracies: convnet, the teacher 81.0 ± 2.5; transformer, the other teacher 81.0 ± 2.5")


def test_the_introduction_claims_only_what_the_seeds_share(results):
    text = markdown(results, "digits", {}, []).replace("\n", " ")
    assert "The initial weights may differ" in text
    assert "about one verdict in twenty is wrong by chance" in text


def test_the_csv_file_has_a_line_for_each_training(results):
    rows = list(csv.DictReader(io.StringIO(csv_text(results))))
    assert len(rows) == len(results.trainings)
    (row,) = (row for row in rows if (row["condition"], row["seed"]) == (BASE, "1"))
    assert (float(row["accuracy"]), float(row["class_accuracy"])) == pytest.approx((0.81, 0.79))
    assert row["labels_per_class"] == "30"
