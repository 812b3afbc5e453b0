"""The report of a run: at its end, and again. `tests/cli/test_evaluate.py` has that of a whole run."""

import types
import warnings

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.report.page import Report
from keras_deit.training import run_report
from keras_deit.training.resolve import resolve
from keras_deit.training.run_report import write_again, write_at_end
from tests.html_pages import Page
from tests.report.students import make_data, make_student
from tests.report.test_page import HISTORY, SUMMARY
from tests.runs import need_run_packages

need_run_packages()
STOPPED = {**SUMMARY, "complete": False, "student": None}


def user_warning(caught):
    """The text of the only warning that is one of this package."""
    (message,) = (str(warning.message) for warning in caught if warning.category is UserWarning)
    return message


def stopped_run(directory):
    return types.SimpleNamespace(directory=directory)


@pytest.mark.backend_independent
def test_a_run_that_was_interrupted_has_a_page_with_its_curves(tmp_path, capsys):
    write_at_end(stopped_run(tmp_path / "run"), STOPPED, HISTORY)
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert page.headings == ["Run run", "Results", "Curves", "Settings", "Commands"]
    assert "The run was interrupted" in page.text
    assert f"KERAS_BACKEND=jax keras-deit train --output-dir {tmp_path / 'run'} --resume" in page.text
    assert capsys.readouterr().out.startswith(f"Report: {tmp_path / 'run' / 'report.html'}, written in ")


@pytest.mark.backend_independent
def test_a_report_that_cannot_be_written_is_a_warning_that_names_the_cause(tmp_path, monkeypatch):
    def write(self):
        raise OSError("no space\nleft")

    monkeypatch.setattr(Report, "write", write)
    with pytest.warns(UserWarning, match="could not be written") as caught:
        write_at_end(stopped_run(tmp_path), STOPPED, HISTORY)
    assert user_warning(caught) == (
        "The report of the run could not be written (OSError: no space left). Try again: "
        f"keras-deit evaluate --weights {tmp_path} --report"
    )


@pytest.mark.backend_independent
def test_a_signal_during_the_report_leaves_the_run_complete(tmp_path, monkeypatch):
    def write(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "write", write)
    with pytest.warns(UserWarning, match="could not be written") as caught:
        write_at_end(stopped_run(tmp_path), STOPPED, HISTORY)
    assert "(interrupted by a signal). Try again: keras-deit evaluate" in user_warning(caught)


@pytest.mark.backend_independent
def test_a_run_that_diverged_is_not_called_interrupted(tmp_path):
    write_at_end(stopped_run(tmp_path), {**STOPPED, "diverged": {"loss": "nan"}}, HISTORY)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "The training diverged, so its student was not examined" in text
    assert "was interrupted" not in text


@pytest.mark.backend_independent
def test_a_student_that_cannot_be_examined_leaves_a_page_with_the_cause(tmp_path, monkeypatch):
    def shown_attention(student, data):
        raise ValueError("The model has no attention.")

    monkeypatch.setattr(run_report, "shown_attention", shown_attention)
    data = types.SimpleNamespace(test=make_data([-1] * 5))
    settings = types.SimpleNamespace(pipeline="python", num_workers=None)
    run = types.SimpleNamespace(
        directory=tmp_path, model=None, cache=None, settings=settings, student=make_student(), data=data
    )
    with pytest.warns(UserWarning, match="could not be examined") as caught:
        write_at_end(run, SUMMARY, HISTORY)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    note = "The student could not be examined on test images (ValueError: The model has no attention.)."
    assert user_warning(caught) == f"{note} Try again: keras-deit evaluate --weights {tmp_path} --report"
    assert note in page.text
    assert {"Curves", "Settings"} <= set(page.headings)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    monkeypatch.setattr(run_report.run_directory, "read_summary", lambda directory: SUMMARY)
    return tmp_path


@pytest.mark.eager
def test_a_teacher_that_cannot_be_loaded_is_missing_on_the_page(finished):
    settings = resolve({"variant": "deit_ti", "teacher": str(finished / "moved.keras")})
    with pytest.warns(UserWarning, match="The teacher could not be loaded") as caught:
        path, evaluation = write_again(finished, settings, make_student(), make_data())
    page = Page(path.read_text(encoding="utf-8"))
    assert user_warning(caught) in page.text
    assert "Most confident mistakes" in page.headings
    assert "teacher:" not in page.text
    assert evaluation.num_images == 30


@pytest.mark.eager
def test_another_teacher_than_that_of_the_run_is_noticed(finished, monkeypatch):
    settings = resolve({"variant": "deit_ti", "teacher": "teacher.keras"})
    convnet = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    teacher = kd.Teacher(convnet, outputs="probabilities")
    monkeypatch.setattr(run_report, "load_teacher", lambda settings, num_classes: teacher)
    with pytest.warns(UserWarning, match="and the teacher of the run had 90.00%") as caught:
        path, evaluation = write_again(finished, settings, make_student(), make_data())
    assert f"an accuracy of {evaluation.accuracies['teacher_accuracy']:.2%}, and" in user_warning(caught)
    assert user_warning(caught) in Page(path.read_text(encoding="utf-8")).text


@pytest.mark.eager
@pytest.mark.backend_independent
def test_the_teacher_gets_the_normalisation_of_the_images_that_are_examined(finished, monkeypatch):
    settings, found = resolve({"variant": "deit_ti", "teacher": "teacher.keras"}), []
    convnet = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    monkeypatch.setattr(run_report, "load_teacher", lambda settings, num_classes: kd.Teacher(convnet))
    monkeypatch.setattr(run_report, "_batch_function", lambda teacher, *normalisation: found.append(normalisation))
    for overrides in ({}, {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}):
        write_again(finished, settings, make_student(), make_data(), **overrides)
    np.testing.assert_allclose(found, [((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))])


@pytest.mark.eager
def test_a_test_split_without_labels_has_a_page_with_attention(finished):
    settings = resolve({"variant": "deit_ti", "distillation": "none"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        path, evaluation = write_again(finished, settings, make_student(), make_data([-1] * 5))
    page = Page(path.read_text(encoding="utf-8"))
    assert evaluation is None
    assert "No test image has a label" in page.text
    assert {"Attention", "Results"} <= set(page.headings)
    assert "Confusion matrix" not in page.headings
