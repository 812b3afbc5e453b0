"""Worker processes: the order of the trainings, and continuing after a death."""

import dataclasses
import json
import pathlib
import sys

import pytest

from keras_deit.reproduction import workers as workers_module
from keras_deit.reproduction.design import QUICK, comparison
from keras_deit.reproduction.progress import Progress
from keras_deit.reproduction.spec import CONVNET, Setting
from keras_deit.reproduction.store import Store
from keras_deit.reproduction.workers import WorkerError, Workers

pytestmark = pytest.mark.backend_independent

TRAININGS = comparison(QUICK, "digits", Setting(), Setting(architecture=CONVNET, distillation="none"))
NAMES = [training.name for training in TRAININGS]


class FailingProgress(Progress):
    """A progress whose output is closed."""

    def report(self, training, figures):
        raise BrokenPipeError("closed output")


def run(tmp_path, monkeypatch, number, *fatal, progress=Progress):
    """Runs the trainings with fake workers; returns the names that the workers were given."""
    log = tmp_path / "log.txt"
    log.write_text("")
    command = [sys.executable, str(pathlib.Path(__file__).parent / "fake_worker.py"), str(log), *fatal]
    monkeypatch.setattr(workers_module, "COMMAND", command)
    store = Store(tmp_path / "digits")
    with Workers(number) as workers:
        try:
            workers.run(TRAININGS, store, progress(number, {"digits": store.count_unfinished(TRAININGS)}))
        finally:
            given = log.read_text().splitlines()
    return given


def test_one_worker_does_the_trainings_in_order(tmp_path, monkeypatch, capsys):
    assert run(tmp_path, monkeypatch, 1) == NAMES
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1/{len(NAMES)} {NAMES[0]}: 50.0% on the test split, 1 s; {len(NAMES) - 1} s left"
    assert lines[-1].endswith("; 0 s left")


def test_two_workers_do_each_training_once_and_a_teacher_before_its_students(tmp_path, monkeypatch):
    given = run(tmp_path, monkeypatch, 2)
    assert sorted(given) == sorted(NAMES)
    for training in TRAININGS:
        assert training.teacher is None or given.index(training.teacher) < given.index(training.name)


def test_after_a_death_the_finished_trainings_are_not_repeated(tmp_path, monkeypatch):
    with pytest.raises(WorkerError, match="continues the study") as raised:
        run(tmp_path, monkeypatch, 1, NAMES[4])
    assert repr(NAMES[4]) in str(raised.value)
    assert not Store(tmp_path / "digits").has(TRAININGS[4])
    assert run(tmp_path, monkeypatch, 1) == NAMES[4:]
    assert run(tmp_path, monkeypatch, 1) == []


@pytest.mark.parametrize("number", [1, 2])
def test_an_error_of_the_progress_stops_the_study(tmp_path, monkeypatch, number):
    with pytest.raises(BrokenPipeError, match="closed output"):
        run(tmp_path, monkeypatch, number, progress=FailingProgress)
    assert Store(tmp_path / "digits").count_unfinished(TRAININGS) > 0


def test_an_error_of_a_request_stops_the_other_workers(tmp_path, monkeypatch):
    ask = workers_module._ask

    def fail_first(process, training, store):
        if training == TRAININGS[0]:
            raise UnicodeError("no answer")
        return ask(process, training, store)

    monkeypatch.setattr(workers_module, "_ask", fail_first)
    with pytest.raises(UnicodeError, match="no answer"):
        run(tmp_path, monkeypatch, 2)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 4), (64, 4)])
def test_the_default_number_of_workers_is_that_of_the_cores_up_to_four(monkeypatch, cores, expected):
    monkeypatch.setattr(workers_module, "usable_cores", lambda: cores)
    assert workers_module.default_number() == expected


def test_what_a_library_prints_is_no_answer(tmp_path, monkeypatch):
    code = """
import os
from keras_deit.reproduction import __main__ as worker

def train(training, teacher):
    print("from Python")
    os.write(1, b"from C\\n")
    return None, {"accuracy": 0.5, "seconds": 1.0}

worker.train = train
worker.main()
"""
    monkeypatch.setattr(workers_module, "COMMAND", [sys.executable, "-c", code])
    process = workers_module._start(0)
    student = next(training for training in TRAININGS if training.condition == "no teacher")
    request = {"directory": str(tmp_path), "training": dataclasses.asdict(student)}
    assert process.communicate(json.dumps(request) + "\n")[0] == "done\n"
    assert Store(tmp_path).has(student)


def test_a_worker_sees_no_gpu(monkeypatch):
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['JAX_PLATFORMS'])"
    monkeypatch.setattr(workers_module, "COMMAND", [sys.executable, "-c", code])
    process = workers_module._start(0)
    assert process.communicate()[0] == "-1 cpu\n"
