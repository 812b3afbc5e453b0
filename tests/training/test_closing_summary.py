"""The closing summary of a run, as text."""

import pathlib

import keras

from keras_deit.training.closing_summary import describe, how_to_resume

SUMMARY = {
    "complete": True,
    "epochs": 20,
    "seconds": 75,
    "parameters": 5_000_000,
    "images_per_second": 1234.5,
    "waiting_for_data": 0.25,
    "peak_memory_bytes": 3 * 2**29,
    "skipped": {"train": {"images": 3, "unreadable": 2, "tiny": 1}, "test": {"images": 0}},
    "teacher": {"accuracy": None},
    "student": {"accuracy": 0.9, "class_accuracy": 0.8, "teacher_accuracy": 0.99, "loss": 1.0},
}


def test_the_results_stand_in_a_table():
    summary = SUMMARY | {"student_average": {"accuracy": 0.91}, "without_teacher": {"accuracy": 0.7}}
    lines = describe(summary, pathlib.Path("runs/1")).splitlines()
    assert lines[1] == "Done."
    assert lines[3].split() == ["On", "the", "test", "split", "student", "average", "no", "teacher"]
    assert [line.split() for line in lines[4:7]] == [
        ["fused", "90.00%", "91.00%", "70.00%"],
        ["class", "head", "80.00%"],
        ["teacher", "99.00%"],
    ]
    assert "3 images of the train split were left out (2 unreadable, 1 tiny)" in lines
    assert not any("of the test split were" in line for line in lines)
    assert "5,000,000 parameters, 20 epochs in 1 min 15 s" in lines
    assert "1,234 images a second, 25% of the time waiting for data, 1.50 GiB of memory at most" in lines
    assert any(str(pathlib.Path("runs/1/student.keras")) in line for line in lines)
    assert not any("--resume" in line for line in lines)


def test_a_single_thing_is_no_plural():
    text = describe(SUMMARY | {"epochs": 1, "skipped": {"test": {"images": 1, "tiny": 1}}}, pathlib.Path("runs/1"))
    assert "5,000,000 parameters, 1 epoch in 1 min 15 s" in text
    assert "\n1 image of the test split was left out (1 tiny)\n" in text


def test_the_results_of_a_teacher_are_those_of_the_convnet():
    summary = SUMMARY | {"model": "convnet", "student": {"accuracy": 0.9}}
    assert describe(summary, pathlib.Path("runs/1")).splitlines()[3].split() == [
        "On",
        "the",
        "test",
        "split",
        "convnet",
    ]


def test_the_teacher_has_its_row_although_stored_outputs_replaced_it():
    student = {"accuracy": 0.9, "class_accuracy": 0.8, "distillation_accuracy": 0.85}
    text = describe(SUMMARY | {"student": student, "teacher": {"accuracy": 0.97}}, pathlib.Path("runs/1"))
    assert ["teacher", "97.00%"] in [line.split() for line in text.splitlines()]


def test_a_model_of_one_head_has_one_accuracy():
    text = describe(SUMMARY | {"student": {"accuracy": 0.9, "loss": 1.0}}, pathlib.Path("runs/1"))
    assert ["accuracy", "90.00%"] in [line.split() for line in text.splitlines()]
    assert "fused" not in text


def test_unknown_measurements_are_left_out():
    unknown = {"images_per_second": None, "waiting_for_data": None, "peak_memory_bytes": None}
    assert "\nan unknown amount of memory at most\n" in describe(SUMMARY | unknown, pathlib.Path("runs/1"))


def test_an_interrupted_run_ends_with_the_command_that_resumes_it():
    directory = pathlib.Path("my runs/1")
    lines = describe(SUMMARY | {"complete": False}, directory).splitlines()
    assert lines[1] == "Interrupted: the state of the run and the student so far were saved."
    assert lines[-1] == how_to_resume(directory)
    backend = keras.backend.backend()
    expected = f"Resume with:  KERAS_BACKEND={backend} keras-deit train --output-dir 'my runs/1' --resume"
    assert how_to_resume(directory) == expected
