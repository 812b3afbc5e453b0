"""The rows of `history.csv` in TensorBoard and Weights & Biases."""

import json
import sys
import types

import pytest

from keras_deit.runtime.files import DiskFullError
from keras_deit.training.log import TrainingLog
from keras_deit.training.position import Position
from keras_deit.training.resolve import resolve
from keras_deit.training.trackers import (
    TensorBoardTracker,
    TrackerError,
    WandbTracker,
    check_trackers,
    make_trackers,
    read_events,
)
from tests.training.small_fit import fit

SETTINGS = types.SimpleNamespace(log=("tensorboard", "wandb"))
STEPS = 4  # of an epoch of `fit`


def train(make, directory, epochs, done=0, kept=None):
    """Trains until an epoch with a tracker, from `done` epochs on, with the rows `kept` of a checkpoint; returns the log."""
    position = Position(STEPS, epoch=done)
    log = TrainingLog(directory / "history.csv", 2, position)
    log.rows[:] = kept or []
    tracker = make(log)
    try:
        fit([position, log, tracker], epochs=epochs, initial_epoch=done)
    finally:
        tracker.close()
    return log


@pytest.fixture
def scalars(tmp_path):
    """Trains with event files in a directory, and reads them as TensorBoard does."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def make(log):
        return TensorBoardTracker(log, tmp_path / "tensorboard")

    def read():
        accumulator = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
        accumulator.Reload()
        tags = accumulator.Tags()["scalars"]
        return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags}

    return make, read


def columns_of(rows):
    names = [name for name in rows[0] if name != "epoch"]
    return {name: [(row["epoch"], pytest.approx(row[name])) for row in rows] for name in names}


def test_tensorboard_has_the_columns_of_the_history(tmp_path, scalars):
    make, read = scalars
    rows = train(make, tmp_path, epochs=3).rows
    assert read() == columns_of(rows)
    assert {"learning_rate", "images_per_second", "loss", "val_loss"} < set(read())


def test_a_resumed_run_logs_every_epoch_once(tmp_path, scalars):
    """The checkpoint is older than the last rows, as after SIGKILL: the second process trains epoch 3 again."""
    make, read = scalars
    before = train(make, tmp_path, epochs=3).rows
    after = train(make, tmp_path, epochs=5, done=2, kept=before[:2]).rows
    assert read() == columns_of([*before, *after[3:]])
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_a_truncated_event_is_logged_again(tmp_path, scalars):
    make, read = scalars
    before = train(make, tmp_path, epochs=3).rows
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert [event.step for event in read_events(path.parent)] == [0, 1, 2]
    after = train(make, tmp_path, epochs=4, done=2, kept=before[:2]).rows
    assert read() == columns_of([*before[:2], *after[2:]])


def test_a_tracker_that_begins_with_the_resumed_run_gets_the_rows_before(tmp_path, scalars):
    make, read = scalars
    before = train(lambda log: TensorBoardTracker(log, tmp_path / "elsewhere"), tmp_path, epochs=2).rows
    after = train(make, tmp_path, epochs=3, done=2, kept=before).rows
    assert read() == columns_of(after)
    assert len(after) == 3


class FakeRun:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rows = []
        self.is_finished = False

    def log(self, row, step):
        self.rows.append((step, row))

    def finish(self):
        self.is_finished = True


class FakeWandb(types.ModuleType):
    """Weights & Biases, with or without somebody logged in."""

    class Error(Exception):
        """Base class of its errors."""

    def __init__(self, is_logged_in=True):
        super().__init__("wandb")
        self.is_logged_in = is_logged_in
        self.runs = []

    def login(self):
        if not self.is_logged_in:
            raise self.Error("No API key configured. Use `wandb login` to log in.")
        return True

    def init(self, **arguments):
        self.login()
        self.runs.append(FakeRun(arguments))
        return self.runs[-1]


@pytest.fixture
def wandb(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def wandb_tracker(directory):
    settings = resolve({"variant": "deit_ti", "log": ("wandb",)})
    return lambda log: WandbTracker(log, directory, "my run", settings)


def test_weights_and_biases_get_the_settings_and_the_rows(tmp_path, wandb):
    rows = train(wandb_tracker(tmp_path), tmp_path, epochs=2).rows
    (run,) = wandb.runs
    assert run.rows == [(1, rows[0]), (2, rows[1])]
    assert run.is_finished
    assert run.arguments["config"]["variant"] == "deit_ti"
    assert {name: run.arguments[name] for name in ("project", "name", "resume", "dir")} == {
        "project": "keras-deit",
        "name": "my run",
        "resume": "allow",
        "dir": str(tmp_path),
    }


def test_a_resumed_run_continues_the_same_run_of_weights_and_biases(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    before = train(wandb_tracker(tmp_path), tmp_path, epochs=3).rows
    after = train(wandb_tracker(tmp_path), tmp_path, epochs=5, done=2, kept=before[:2]).rows
    first, second = wandb.runs
    assert first.arguments["id"] == second.arguments["id"]
    assert second.arguments["project"] == "mine"
    assert [step for step, _ in first.rows + second.rows] == [1, 2, 3, 4, 5]
    assert second.rows == [(4, after[3]), (5, after[4])]
    assert json.loads((tmp_path / "wandb.json").read_text()) == {"id": first.arguments["id"], "epoch": 5}


def test_the_run_is_finished_after_an_error_too(tmp_path, wandb):
    def make(log):
        tracker = wandb_tracker(tmp_path)(log)
        tracker.on_train_batch_end = lambda *_, **__: 1 / 0
        return tracker

    with pytest.raises(ZeroDivisionError):
        train(make, tmp_path, epochs=1)
    assert wandb.runs[0].is_finished


NOT_LOGGED_IN = "No API key configured. .*Log in with `wandb login`.*WANDB_MODE=offline"


def test_nobody_logged_in_is_an_error_before_the_training_and_when_it_begins(tmp_path, wandb):
    wandb.is_logged_in = False
    with pytest.raises(TrackerError, match=NOT_LOGGED_IN):
        check_trackers(("wandb",))
    with pytest.raises(TrackerError, match=NOT_LOGGED_IN):
        train(wandb_tracker(tmp_path), tmp_path, epochs=1)


@pytest.mark.backend_independent
def test_without_a_connection_nobody_need_be_logged_in(wandb, monkeypatch):
    wandb.is_logged_in = False
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_trackers(("wandb",))


@pytest.mark.backend_independent
@pytest.mark.parametrize("module", ["tensorboard.summary.writer.record_writer", "wandb"])
def test_a_missing_package_is_named_with_its_extra(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    name = module.split(".")[0]
    with pytest.raises(ImportError, match=rf"--log {name} needs `{name}`.*pip install 'keras-deit\[{name}\]'"):
        check_trackers((name,))


@pytest.mark.backend_independent
def test_a_run_makes_the_trackers_that_it_names(tmp_path):
    log = TrainingLog(tmp_path / "history.csv", 2, Position(STEPS))
    kinds = [type(tracker) for tracker in make_trackers(SETTINGS, log, tmp_path, "my run")]
    assert kinds == [TensorBoardTracker, WandbTracker]
    assert make_trackers(types.SimpleNamespace(log=()), log, tmp_path, "my run") == []


def test_a_full_disk_is_named(tmp_path, scalars):
    make, _ = scalars
    files = pytest.importorskip("resource", reason="a limit of POSIX has the effect of a full disk")
    log = TrainingLog(tmp_path / "history.csv", 2, Position(STEPS))
    tracker = make(log)
    tracker.on_train_begin()
    before = files.getrlimit(files.RLIMIT_FSIZE)
    size = sum(path.stat().st_size for path in (tmp_path / "tensorboard").iterdir())
    files.setrlimit(files.RLIMIT_FSIZE, (size, before[1]))
    try:
        log.rows.append({"epoch": 1, "loss": 1.0})
        with pytest.raises(DiskFullError, match="events.out.tfevents.*cannot be written: it needs more space"):
            tracker.on_epoch_end(0)
    finally:
        files.setrlimit(files.RLIMIT_FSIZE, before)
        tracker.close()
