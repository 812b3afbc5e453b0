"""The outputs of a teacher for every sample of a run, stored once and read by later runs.

Samples are reproducible: the position in the run determines the image, the crop and the mixture that the teacher received.
"""

import contextlib
import json
import pathlib
import zipfile

import numpy as np

from keras_deit.runtime.files import replacing, user_path, write_whole
from keras_deit.runtime.optional import require

KEY, METADATA = "key.json", "teacher.json"
MAX_CLASSES = 2**16
SAMPLES_PER_FILE = 2**16  # approximately
MIN_REMAINDER = 1e-12  # smallest probability that all classes without a stored value share


class DamagedCacheError(ValueError):
    """A file of a teacher cache is damaged or missing; the message names it."""


class TeacherCache:
    """A directory of stored teacher outputs.

    Args:
        directory: Path of the directory; it is created if needed.
        key: Dictionary of everything that determines the outputs: the teacher, the samples and their order. Its values are
            numbers, strings, None and lists of these.
        num_epochs, num_batches, batch_size: Number of epochs of the run, of batches in an epoch and of samples in a batch.
        num_classes: Number of classes.
        top: None stores the class with the largest logit, two bytes a sample, which hard distillation needs. A positive
            integer stores that many of the largest log-probabilities with their classes, four bytes each; the remaining
            probability is spread evenly over the other classes.
        rows: Rows of each batch that this process trains on, an integer array; None means all.

    Raises:
        ValueError: If the directory holds outputs of another teacher or for other samples (the message lists the
            differences), or there are more classes than two bytes distinguish.
    """

    def __init__(self, directory, key, num_epochs, num_batches, batch_size, num_classes, top=None, rows=None):
        if num_classes > MAX_CLASSES:
            raise ValueError(
                f"A teacher cache takes at most {MAX_CLASSES:,} classes. Received: num_classes={num_classes}"
            )
        self.directory = user_path(directory)
        self.num_epochs, self.num_batches, self.batch_size = num_epochs, num_batches, batch_size
        self.num_classes = num_classes
        self.top = None if top is None else min(top, num_classes)
        self.rows = rows
        self._batches_per_file = max(1, min(num_batches, SAMPLES_PER_FILE // batch_size))
        self._loaded = (None, None)
        self._damage = None
        self._check_key({**key, "num_classes": num_classes, "top": self.top, "batches_a_file": self._batches_per_file})

    def outputs(self, epoch, batch):
        """Reads the outputs for a batch.

        Args:
            epoch, batch: Position of the batch, both from 0.

        Returns:
            int32 class indices `(batch_size,)`, or float32 log-probabilities `(batch_size, num_classes)`.

        Raises:
            DamagedCacheError: If the outputs are missing or damaged; the message names the file.
        """
        try:
            return self._outputs(epoch, batch)
        except DamagedCacheError as error:
            self._damage = error
            raise

    @contextlib.contextmanager
    def explain_damage(self):
        """Raises the error about a damaged file instead of the exception that a pipeline made of it.

        Raises:
            DamagedCacheError: If a file was found damaged within the context.
        """
        try:
            yield
        except Exception as error:
            if self._damage is None:
                raise
            raise self._damage from error

    def _outputs(self, epoch, batch):
        file, index = divmod(batch, self._batches_per_file)
        if self._loaded[0] != (epoch, file):
            self._loaded = (epoch, file), self._read(epoch, file)
        chosen = slice(index * self.batch_size, (index + 1) * self.batch_size)
        classes = self._loaded[1]["classes"][chosen]
        if self.top is None:
            return classes[:, 0].astype("int32")
        return _spread(classes, self._loaded[1]["log_probabilities"][chosen], self.num_classes)

    def iter_from(self, epoch, batch=0):
        """Yields the outputs of one batch after the other, from a position to the last batch of the run; of `rows` alone."""
        for position in range(epoch * self.num_batches + batch, self.num_epochs * self.num_batches):
            outputs = self.outputs(*divmod(position, self.num_batches))
            yield outputs if self.rows is None else outputs[self.rows]

    def fill(self, predict, advance=None):
        """Stores the missing outputs. Several processes may fill a directory together; each file is written by one of them.

        Args:
            predict: Function `predict(epoch, first, count)` that yields the logits of the teacher for `count` batches,
                from batch `first` of the epoch on.
            advance: Function that is called with a number of batches whenever their outputs are stored, or None.

        Returns:
            Whether all outputs are stored. If not, another process is still writing.

        Raises:
            ValueError: If an output is NaN, or for stored log-probabilities infinite.
        """
        filelock = require("filelock", extra="run", purpose="Filling a teacher cache")
        is_complete = True
        for epoch, file in self._files():
            first = file * self._batches_per_file
            count = min(self._batches_per_file, self.num_batches - first)
            lock = filelock.FileLock(self.directory / f".{self._name(epoch, file)}.lock", timeout=0)
            if not self._path(epoch, file).exists():
                try:
                    with lock:
                        if not self._path(epoch, file).exists():
                            self._write(epoch, file, predict(epoch, first, count))
                except filelock.Timeout:
                    is_complete = False
                    continue
                pathlib.Path(lock.lock_file).unlink(missing_ok=True)
            if advance:
                advance(count)
        return is_complete

    def is_complete(self):
        """Whether the outputs for all samples are stored."""
        return all(self._path(*file).exists() for file in self._files())

    def metadata(self):
        """Reads the stored metadata of the teacher, a dictionary; empty if there is none."""
        path = self.directory / METADATA
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise DamagedCacheError(
                f"The file {str(path)!r} of the teacher cache is damaged ({error}). Delete the file; the next run writes it "
                "again."
            ) from error

    def write_metadata(self, **metadata):
        """Stores metadata of the teacher beside its outputs."""
        write_whole(self.directory / METADATA, json.dumps(metadata) + "\n")

    def _files(self):
        files_per_epoch = -(-self.num_batches // self._batches_per_file)
        return [(epoch, file) for epoch in range(self.num_epochs) for file in range(files_per_epoch)]

    def _name(self, epoch, file):
        return f"epoch-{epoch:04d}-{file:04d}.npz"

    def _path(self, epoch, file):
        return self.directory / self._name(epoch, file)

    def _write(self, epoch, file, logits):
        stored = [self._compressed(np.asarray(batch, "float32"), epoch) for batch in logits]
        if any(len(batch["classes"]) != self.batch_size for batch in stored):
            raise ValueError(f"The teacher must give one output for each of the {self.batch_size} samples of a batch.")
        with replacing(self._path(epoch, file)) as temporary, open(temporary, "wb") as archive:
            np.savez(archive, **{name: np.concatenate([batch[name] for batch in stored]) for name in stored[0]})

    def _compressed(self, logits, epoch):
        is_usable = ~np.isnan(logits) if self.top is None else np.isfinite(logits)
        num_unusable = np.sum(~is_usable.all(axis=-1))
        if num_unusable:
            raise ValueError(
                f"The teacher's outputs must be finite. Received: NaN or infinity for {num_unusable} samples of a batch of "
                f"epoch {epoch + 1}. Check the teacher's weights, or run the teacher in float32."
            )
        return _compress(logits, self.top)

    def _read(self, epoch, file):
        path = self._path(epoch, file)
        try:
            with np.load(path, allow_pickle=False) as archive:  # verifies the checksums of the archive
                stored = dict(archive)
        except FileNotFoundError as error:
            raise DamagedCacheError(
                f"The teacher outputs for epoch {epoch + 1} are not stored: there is no file {str(path)!r}."
            ) from error
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise DamagedCacheError(
                f"The stored teacher outputs {str(path)!r} are damaged ({error}). Delete the file; the next "
                "run stores it again."
            ) from error
        self._check_stored(path, stored, num_batches=self.num_batches - file * self._batches_per_file)
        return stored

    def _check_stored(self, path, stored, num_batches):
        shape = min(self._batches_per_file, num_batches) * self.batch_size, self.top or 1
        names = {"classes"} if self.top is None else {"classes", "log_probabilities"}
        if set(stored) != names or any(values.shape != shape for values in stored.values()):
            raise DamagedCacheError(
                f"The stored teacher outputs {str(path)!r} belong to another run. Delete the file; the next "
                "run stores it again."
            )
        if stored["classes"].max() >= self.num_classes:
            raise DamagedCacheError(
                f"The stored teacher outputs {str(path)!r} hold the class {stored['classes'].max()}, and there are "
                f"{self.num_classes} classes. Delete the file; the next run stores it again."
            )

    def _check_key(self, key):
        key = json.loads(json.dumps(key))
        path = self.directory / KEY
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(key, indent=1) + "\n")
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DamagedCacheError(
                f"The file {str(path)!r} is damaged ({error}), so it is not known which run the stored teacher outputs "
                "beside it belong to. Delete the directory, or choose another directory for the teacher cache."
            ) from error
        differing = sorted(name for name in {*key, *known} if key.get(name) != known.get(name))
        if differing:
            differences = "; ".join(f"{name}: {known.get(name)!r} stored, {key.get(name)!r} here" for name in differing)
            raise ValueError(
                f"The teacher cache {str(self.directory)!r} belongs to a run with other samples or another teacher "
                f"({differences}). Choose another directory."
            )


def _compress(logits, top):
    """The arrays that are stored for logits `(batch, classes)`."""
    if top is None:
        return {"classes": logits.argmax(axis=-1).astype("uint16")[:, None]}
    shifted = logits.astype("float64") - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    highest = np.argsort(-log_probabilities, axis=-1, kind="stable")[:, :top]
    values = np.take_along_axis(log_probabilities, highest, axis=-1).clip(min=np.finfo("float16").min)
    return {"classes": highest.astype("uint16"), "log_probabilities": values.astype("float16")}


def _spread(classes, log_probabilities, num_classes):
    """Log-probabilities of all classes; the probability that the stored classes leave is spread evenly over the others."""
    stored = log_probabilities.astype("float32")
    others = num_classes - classes.shape[1]
    rest = np.maximum(1 - np.exp(stored).sum(axis=-1, keepdims=True), MIN_REMAINDER)
    spread = np.repeat(np.log(rest / max(others, 1)), num_classes, axis=1)
    np.put_along_axis(spread, classes.astype("int64"), stored, axis=-1)
    return spread.astype("float32")
