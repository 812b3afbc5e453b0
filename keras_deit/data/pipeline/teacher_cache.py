"""A teacher's answers for every view of a run, stored once and read by later runs.

ImageTransform are reproducible, so that an epoch and a place in it say which picture, crop and mixture a teacher was shown.
"""

import json
import pathlib
import zipfile

import numpy as np

from keras_deit.runtime.files import replacing, write_whole
from keras_deit.runtime.optional import require

KEY, FACTS = "key.json", "teacher.json"
MOST_CLASSES = 2**16
CHUNK_VIEWS = 2**16  # about so many views lie in a file
LEAST_SHARE = 1e-12  # of what the classes that are not stored have in all


class TeacherCache:
    """A directory of answers.

    Args:
        directory: Path; it is made where it does not exist.
        key: Dictionary of all that the answers follow from: the teacher, the views and their order. Numbers, strings, None
            and lists of them.
        num_epochs, num_batches, batch_size: Of the run; those of the key's plan.
        num_classes: Number of classes.
        top: None stores the class that the teacher decides for, two bytes a view, as hard distillation needs it; a number
            stores so many of the highest log-probabilities with their classes, four bytes each. What they leave is spread
            evenly over the other classes.

    Raises:
        ValueError: If the directory holds the answers of another teacher or to other views; the message says what differs.
            If there are more classes than two bytes tell apart.
    """

    def __init__(self, directory, key, num_epochs, num_batches, batch_size, num_classes, top=None):
        if num_classes > MOST_CLASSES:
            raise ValueError(f"A teacher cache tells {MOST_CLASSES} classes apart. Received: num_classes={num_classes}")
        self.directory = pathlib.Path(directory)
        self.num_epochs, self.num_batches, self.batch_size = num_epochs, num_batches, batch_size
        self.num_classes = num_classes
        self.top = None if top is None else min(top, num_classes)
        self._chunk_batches = max(1, min(num_batches, CHUNK_VIEWS // batch_size))
        self._kept = (None, None)
        self._check_key({**key, "num_classes": num_classes, "top": self.top, "batches_a_file": self._chunk_batches})

    def answers(self, epoch, batch):
        """The answers for a batch of views.

        Args:
            epoch, batch: Which one, both from 0.

        Returns:
            int32 decisions `(batch_size,)`, or float32 log-probabilities `(batch_size, num_classes)`.

        Raises:
            ValueError: If they are missing or damaged; the message names the file.
        """
        chunk, place = divmod(batch, self._chunk_batches)
        if self._kept[0] != (epoch, chunk):
            self._kept = (epoch, chunk), self._read(epoch, chunk)
        chosen = slice(place * self.batch_size, (place + 1) * self.batch_size)
        classes = self._kept[1]["classes"][chosen]
        if self.top is None:
            return classes[:, 0].astype("int32")
        return _spread(classes, self._kept[1]["log_probabilities"][chosen], self.num_classes)

    def following(self, epoch, batch=0):
        """Yields the answers of one batch after the other, from one on to the last."""
        for place in range(epoch * self.num_batches + batch, self.num_epochs * self.num_batches):
            yield self.answers(*divmod(place, self.num_batches))

    def fill(self, ask, advance=None):
        """Stores what is missing. Several processes may do so at a time; each takes the files that no other is at.

        Args:
            ask: `ask(epoch, first, count)` yields the teacher's logits for so many batches of an epoch from one on.
            advance: Called with a number of batches whenever so many are stored.

        Returns:
            Whether all is stored now; otherwise another process is still at work.
        """
        filelock = require("filelock", extra="run", purpose="Filling a teacher cache")
        is_whole = True
        for epoch, chunk in self._places():
            first = chunk * self._chunk_batches
            count = min(self._chunk_batches, self.num_batches - first)
            lock = filelock.FileLock(self.directory / f".{self._name(epoch, chunk)}.lock", timeout=0)
            if not self._path(epoch, chunk).exists():
                try:
                    with lock:
                        if not self._path(epoch, chunk).exists():
                            self._write(epoch, chunk, ask(epoch, first, count))
                except filelock.Timeout:
                    is_whole = False
                    continue
                pathlib.Path(lock.lock_file).unlink(missing_ok=True)
            if advance:
                advance(count)
        return is_whole

    def is_whole(self):
        """Whether the answers for all views are stored."""
        return all(self._path(*place).exists() for place in self._places())

    def facts(self):
        """What was remembered of the teacher, a dictionary."""
        path = self.directory / FACTS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def remember(self, **facts):
        """Keeps numbers about the teacher beside its answers."""
        write_whole(self.directory / FACTS, json.dumps(facts) + "\n")

    def _places(self):
        chunks = -(-self.num_batches // self._chunk_batches)
        return [(epoch, chunk) for epoch in range(self.num_epochs) for chunk in range(chunks)]

    def _name(self, epoch, chunk):
        return f"epoch-{epoch:04d}-{chunk:04d}.npz"

    def _path(self, epoch, chunk):
        return self.directory / self._name(epoch, chunk)

    def _write(self, epoch, chunk, logits):
        stored = [_stored(np.asarray(one, "float32"), self.top) for one in logits]
        if any(len(one["classes"]) != self.batch_size for one in stored):
            raise ValueError(f"A teacher's answers must be those to a batch of {self.batch_size} views.")
        with replacing(self._path(epoch, chunk)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **{name: np.concatenate([one[name] for one in stored]) for name in stored[0]})

    def _read(self, epoch, chunk):
        path = self._path(epoch, chunk)
        views = min(self._chunk_batches, self.num_batches - chunk * self._chunk_batches) * self.batch_size
        try:
            with np.load(path, allow_pickle=False) as file:  # which compares the checksums of the archive
                stored = dict(file)
        except FileNotFoundError as error:
            raise ValueError(
                f"The teacher's answers for epoch {epoch + 1} are not stored: no file {str(path)!r}."
            ) from error
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(
                f"The stored answers {str(path)!r} are damaged ({error}). Delete the file to ask again."
            ) from error
        width = self.top or 1
        expected = {"classes"} if self.top is None else {"classes", "log_probabilities"}
        if set(stored) != expected or any(values.shape != (views, width) for values in stored.values()):
            raise ValueError(f"The stored answers {str(path)!r} are not of this run. Delete it to ask again.")
        if stored["classes"].max() >= self.num_classes:
            raise ValueError(f"The stored answers {str(path)!r} name classes that there are not.")
        return stored

    def _check_key(self, key):
        key = json.loads(json.dumps(key))
        path = self.directory / KEY
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(key, indent=1) + "\n")
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{str(path)!r} cannot be read: {error}") from error
        differing = sorted(name for name in {*key, *known} if key.get(name) != known.get(name))
        if differing:
            told = "; ".join(f"{name}: {known.get(name)!r} there, {key.get(name)!r} here" for name in differing)
            raise ValueError(
                f"The teacher cache {str(self.directory)!r} belongs to another run, which saw other views or another "
                f"teacher ({told}). Choose another directory."
            )


def _stored(logits, top):
    """What is kept of logits `(batch, classes)`."""
    if top is None:
        return {"classes": logits.argmax(axis=-1).astype("uint16")[:, None]}
    shifted = logits.astype("float64") - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    highest = np.argsort(-log_probabilities, axis=-1, kind="stable")[:, :top]
    values = np.take_along_axis(log_probabilities, highest, axis=-1)
    return {"classes": highest.astype("uint16"), "log_probabilities": values.astype("float16")}


def _spread(classes, log_probabilities, num_classes):
    """Log-probabilities of all classes; what the stored ones leave of the probability, spread evenly over the others."""
    stored = log_probabilities.astype("float32")
    others = num_classes - classes.shape[1]
    rest = np.maximum(1 - np.exp(stored).sum(axis=-1, keepdims=True), LEAST_SHARE)
    spread = np.repeat(np.log(rest / max(others, 1)), num_classes, axis=1)
    np.put_along_axis(spread, classes.astype("int64"), stored, axis=-1)
    return spread.astype("float32")
