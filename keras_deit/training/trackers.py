"""The rows of `history.csv` in TensorBoard and Weights & Biases, as the setting `log` asks for."""

import dataclasses
import json
import os
import socket
import struct
import time
import uuid

import keras

from keras_deit.choices import TENSORBOARD, WANDB
from keras_deit.runtime import processes
from keras_deit.runtime.files import explaining_full_disk, write_whole
from keras_deit.runtime.optional import require

PROJECT = "keras-deit"  # of Weights & Biases, unless WANDB_PROJECT names another
STATE = "wandb.json"  # in the output directory: the identity of the run, and its last epoch that was logged
OFFLINE = ("offline", "disabled", "dryrun")  # values of WANDB_MODE


class TrackerError(ValueError):
    """Weights & Biases cannot be reached, or nobody is logged in."""


class Tracker(keras.callbacks.Callback):
    """Passes the rows of a `TrainingLog` on, each once, also in a run that is interrupted and resumed.

    A run that continues from a checkpoint may train epochs again that were logged before: they are left out. Rows of earlier
    epochs that were not logged, since the run began without this tracker, are logged when it continues.

    Args:
        log: `TrainingLog`. It must come before this callback in the callbacks of `fit`.
    """

    def __init__(self, log):
        super().__init__()
        self.log = log
        self._last_epoch = None  # that was logged; None before `_open`

    def on_train_begin(self, logs=None):
        if self._last_epoch is None:
            self._last_epoch = self._open()
            for row in self.log.rows:
                self._track(row)

    def on_epoch_end(self, epoch, logs=None):
        self._track(self.log.rows[-1])

    def _track(self, row):
        if row["epoch"] > self._last_epoch:
            self._write(row)
            self._last_epoch = row["epoch"]

    def _open(self):
        """Begins or continues; returns the last epoch that was logged, or 0."""
        raise NotImplementedError

    def _write(self, row):
        raise NotImplementedError

    def close(self):
        """Ends the logging, also after an exception in `fit`."""


class TensorBoardTracker(Tracker):
    """Writes event files, one for each process that trains; a row is one event, whose step is the epoch.

    Args:
        log: See `Tracker`.
        directory: Directory of the event files.

    Raises:
        ImportError: From `fit`, if TensorBoard is not installed.
        DiskFullError: From `fit`, if there is no space.
    """

    def __init__(self, log, directory):
        super().__init__(log)
        self.directory = directory
        self._file = None

    def _open(self):
        writing, self._events, self._summaries = _tensorboard()
        self.directory.mkdir(parents=True, exist_ok=True)
        last_epoch = max((event.step for event in read_events(self.directory)), default=0)
        now = time.time_ns()  # readers take the files in the order of their names
        name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{now % 10**9:09d}"
        self._path = self.directory / name
        self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115 - `close` closes it
        self._writer = writing.RecordWriter(self._file)
        self._write_event(file_version="brain.Event:2")
        return last_epoch

    def _write(self, row):
        value = self._summaries.Summary.Value
        values = [value(tag=name, simple_value=number) for name, number in row.items() if name != "epoch"]
        self._write_event(step=row["epoch"], summary=self._summaries.Summary(value=values))

    def _write_event(self, **fields):
        event = self._events.Event(wall_time=time.time(), **fields)
        with explaining_full_disk(self._path):
            self._writer.write(event.SerializeToString())

    def close(self):
        if self._file is not None:
            self._file.close()


def read_events(directory):
    """Reads the events of TensorBoard in a directory; an incomplete one at the end of a file is left out.

    Args:
        directory: Path.

    Yields:
        `tensorboard.compat.proto.event_pb2.Event`.
    """
    _, events, _ = _tensorboard()
    for path in sorted(directory.glob("events.out.tfevents.*")):
        data, start = path.read_bytes(), 12  # a record: 8 bytes of length, 4 of checksum, the event, 4 of checksum
        while start <= len(data):
            (length,) = struct.unpack("<Q", data[start - 12 : start - 4])
            if start + length + 4 > len(data):
                break
            yield events.Event.FromString(data[start : start + length])
            start += length + 16


class WandbTracker(Tracker):
    """Logs to Weights & Biases: the settings of the run and its rows, whose step is the epoch.

    Args:
        log: See `Tracker`.
        directory: Output directory of the run.
        name: Name of the run.
        settings: `Settings`.

    Raises:
        TrackerError: From `fit`, if Weights & Biases cannot begin or continue the run.
    """

    def __init__(self, log, directory, name, settings):
        super().__init__(log)
        self.directory = directory
        self.name = name
        self.settings = settings
        self._run = None

    def _open(self):
        wandb = _wandb()
        path = self.directory / STATE
        state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"id": uuid.uuid4().hex, "epoch": 0}
        self._id = state["id"]
        self._save(state["epoch"])
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                id=self._id,
                name=self.name,
                resume="allow",
                dir=str(self.directory),
                config=dataclasses.asdict(self.settings),
            )
        except wandb.Error as error:
            raise TrackerError(_describe(error)) from error
        return state["epoch"]

    def _save(self, epoch):
        write_whole(self.directory / STATE, json.dumps({"id": self._id, "epoch": epoch}) + "\n")

    def _write(self, row):
        self._run.log(dict(row), step=row["epoch"])
        self._save(row["epoch"])

    def close(self):
        if self._run is not None:
            self._run.finish()


def check_trackers(names):
    """Checks that what a run logs to can be used.

    Args:
        names: Value of the setting `log`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        TrackerError: If nobody is logged in to Weights & Biases, or its server cannot be reached.
    """
    if TENSORBOARD in names:
        _tensorboard()
    if WANDB in names and processes.is_main_process():
        wandb = _wandb()
        if os.environ.get("WANDB_MODE") in OFFLINE:
            return
        try:
            wandb.login()  # asks for the key on a terminal
        except wandb.Error as error:
            raise TrackerError(_describe(error)) from error


def make_trackers(settings, log, directory, name):
    """Makes the trackers of a training.

    Args:
        settings: `Settings`.
        log: `TrainingLog`.
        directory: Output directory of the training.
        name: Name of the training.

    Returns:
        List of `Tracker`, empty in all processes but the first.
    """
    trackers = []
    if not processes.is_main_process():
        return trackers
    if TENSORBOARD in settings.log:
        trackers.append(TensorBoardTracker(log, directory / "tensorboard"))
    if WANDB in settings.log:
        trackers.append(WandbTracker(log, directory, name, settings))
    return trackers


def _tensorboard():
    """The modules of TensorBoard that write event files; they import neither TensorFlow nor PyTorch."""
    modules = "summary.writer.record_writer", "compat.proto.event_pb2", "compat.proto.summary_pb2"
    return [require(f"tensorboard.{name}", extra="tensorboard", purpose="--log tensorboard") for name in modules]


def _wandb():
    return require("wandb", extra="wandb", purpose="--log wandb")


def _describe(error):
    return (
        f"--log wandb: Weights & Biases cannot be used: {str(error).rstrip('.')}. Log in with `wandb login`, or set "
        "WANDB_API_KEY. With WANDB_MODE=offline the run logs to its output directory; `wandb sync` uploads that later."
    )
