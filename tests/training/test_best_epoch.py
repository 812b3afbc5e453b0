"""The best epoch of a run: stopping when it is long past, and keeping its weights."""

import keras
import numpy as np
import pytest

from keras_deit.training import best_epoch, checkpoint, run_directory
from keras_deit.training.best_epoch import best_row, is_past
from tests.runs import ON_ONE_DEVICE, SHORT_VARIANT, need_run_packages, summary_of, train_printed, weights_of

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")
ACCURACIES = (0.25, 0.75, 0.5, 0.75, 0.5, 1.0)


def rows(accuracies):
    return [{"epoch": number, "val_accuracy": accuracy} for number, accuracy in enumerate(accuracies, start=1)]


def test_the_first_of_equal_epochs_is_the_best():
    assert best_row(rows(ACCURACIES[:5]))["epoch"] == 2
    assert best_row([]) is None


@pytest.mark.parametrize(("patience", "ends"), [(1, 3), (2, 4), (3, 5), (4, None), (None, None)])
def test_the_training_ends_so_many_epochs_after_the_best_one(patience, ends):
    past = [epoch for epoch in range(1, 7) if is_past(rows(ACCURACIES[:epoch]), patience)]
    assert (past[0] if past else None) == ends
    assert not is_past([], patience)


class EndedError(Exception):
    """The process dies."""


@pytest.fixture
def scripted(monkeypatch):
    """Replaces the accuracies of the epochs, as the log has them; keeps the weights that the best epoch had."""
    kept = {}

    def end(self, epoch, logs=None):
        self.log.rows[-1]["val_accuracy"] = ACCURACIES[epoch]
        kept[epoch + 1] = [np.array(weight) for weight in self.run.student.get_weights()]
        original(self, epoch, logs)

    original = best_epoch.BestEpoch.on_epoch_end
    monkeypatch.setattr(best_epoch.BestEpoch, "on_epoch_end", end)
    return kept


OPTIONS = ["--variant", SHORT_VARIANT, "--distillation", "none", "--steps-per-epoch", "1", "--batch-size", "8"]
OPTIONS += ["--epochs", "6", "--patience", "3", "--keep", "best", *ON_ONE_DEVICE]


@pytest.mark.eager("tensorflow")
def test_a_run_ends_early_and_keeps_the_best_weights_also_when_it_was_interrupted(scripted, tmp_path, monkeypatch):
    status, printed = train_printed(*OPTIONS, "--output-dir", tmp_path / "whole")
    assert status == 0
    summary = summary_of(tmp_path / "whole")
    assert (summary["epochs"], summary["complete"]) == (5, True)
    assert summary["best_epoch"] == {"epoch": 2, "accuracy": 0.75, "weights": "student_best.keras"}
    assert "student: stopped after epoch 5, 3 epochs after the best one." in printed
    assert f"The best:    {tmp_path / 'whole' / 'student_best.keras'} (epoch 2, 75.00% on the test split)" in printed
    best = keras.saving.load_model(tmp_path / "whole" / "student_best.keras", compile=False)
    for ours, theirs in zip(best.get_weights(), scripted[2], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    original = best_epoch.BestEpoch.on_epoch_end  # after the best epoch, the process dies within an epoch
    monkeypatch.setattr(best_epoch.BestEpoch, "on_epoch_end", lambda self, epoch, logs=None: die(self, epoch, logs))

    def die(self, epoch, logs):
        original(self, epoch, logs)
        if epoch == 2:
            raise EndedError

    with pytest.raises(EndedError):
        train_printed(*OPTIONS, "--checkpoint-every", "1", "--output-dir", tmp_path / "cut")
    monkeypatch.setattr(best_epoch.BestEpoch, "on_epoch_end", original)
    status, printed = train_printed("--output-dir", tmp_path / "cut", "--resume")
    assert status == 0
    assert "resumed" in printed
    resumed = summary_of(tmp_path / "cut")
    assert (resumed["epochs"], resumed["best_epoch"]) == (5, summary["best_epoch"])
    for ours, theirs in zip(weights_of(tmp_path / "cut"), weights_of(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    resumed_best = keras.saving.load_model(tmp_path / "cut" / "student_best.keras", compile=False)
    for ours, theirs in zip(resumed_best.get_weights(), scripted[2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.backend_independent  # the order of what is saved
@pytest.mark.parametrize("dies_at", ["the checkpoint", "the weights"])
def test_the_weights_are_those_of_the_best_epoch_also_if_an_epoch_would_not_be_the_same_again(
    dies_at, scripted, tmp_path, monkeypatch
):
    """The process dies while it saves the best epoch. On a GPU an epoch trained anew may have another accuracy."""
    owner, name = {
        "the checkpoint": (checkpoint.Checkpoints, "write"),
        "the weights": (run_directory, "save_best"),
    }[dies_at]
    save, numbers = getattr(owner, name), iter(range(1, 10))

    def save_or_die(*arguments):
        if next(numbers) == 2:
            raise EndedError
        save(*arguments)

    options = [*OPTIONS[: OPTIONS.index("--epochs")], "--epochs", "3", "--keep", "best", *ON_ONE_DEVICE]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, save_or_die)
        with pytest.raises(EndedError):
            train_printed(*options, "--output-dir", tmp_path / "run")
    monkeypatch.setitem(globals(), "ACCURACIES", (0.25, 0.125, 0.125))
    assert train_printed("--output-dir", tmp_path / "run", "--resume")[0] == 0
    best = summary_of(tmp_path / "run")["best_epoch"]
    assert (best["epoch"], best["accuracy"]) == {"the checkpoint": (1, 0.25), "the weights": (2, 0.75)}[dies_at]
    saved = keras.saving.load_model(tmp_path / "run" / "student_best.keras", compile=False)
    for ours, theirs in zip(saved.get_weights(), scripted[best["epoch"]], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.eager("tensorflow")
def test_a_run_without_these_settings_has_all_its_epochs_and_one_student(scripted, tmp_path):
    given = OPTIONS[: OPTIONS.index("--patience")]
    assert train_printed(*given, *ON_ONE_DEVICE, "--output-dir", tmp_path / "run")[0] == 0
    summary = summary_of(tmp_path / "run")
    assert (summary["epochs"], summary["best_epoch"]) == (6, {"epoch": 6, "accuracy": 1.0, "weights": None})
    assert not (tmp_path / "run" / "student_best.keras").exists()
