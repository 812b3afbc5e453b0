"""Stored outputs of a teacher."""

import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_deit.data.pipeline import teacher_cache as module
from keras_deit.data.pipeline.teacher_cache import TeacherCache

pytest.importorskip("filelock", reason="filelock keeps two processes from writing the same file")
pytestmark = pytest.mark.backend_independent
KEY = {"teacher": "abc", "seed": 0, "image_size": (8, 8)}
SIZE = dict(num_epochs=2, num_batches=5, batch_size=4, num_classes=7)


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(module, "SAMPLES_PER_FILE", 8)  # two batches


def logits(epoch, batch):
    return np.random.default_rng([epoch, batch]).normal(size=(4, 7)).astype("float32") * 3


def predict(epoch, first, count):
    for batch in range(first, first + count):
        yield logits(epoch, batch)


def never(epoch, first, count):
    raise AssertionError("the teacher was used")


def softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_classes_take_two_bytes_and_are_read_again(tmp_path):
    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    assert not cache.is_complete()
    stored = []
    assert cache.fill(predict, stored.append)
    assert (cache.is_complete(), stored) == (True, [2, 2, 1] * 2)
    again = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    assert again.fill(never)
    for position, outputs in enumerate(again.iter_from(0)):
        assert outputs.dtype == np.int32
        np.testing.assert_array_equal(outputs, logits(*divmod(position, 5)).argmax(-1))
    assert position == 9
    assert len(list(again.iter_from(1, 3))) == 2
    assert np.load(next((tmp_path / "cache").glob("*.npz")))["classes"].itemsize == 2


@pytest.mark.parametrize("top", [3, 7, 100])
def test_the_highest_classes_keep_their_probabilities_and_the_others_share_the_rest(top, tmp_path):
    cache = TeacherCache(tmp_path, KEY, **SIZE, top=top)
    cache.fill(predict)
    expected, received = softmax(logits(1, 2).astype("float64")), softmax(cache.outputs(1, 2).astype("float64"))
    kept = np.argsort(-expected, axis=-1)[:, :top]
    np.testing.assert_allclose(
        np.take_along_axis(received, kept, -1), np.take_along_axis(expected, kept, -1), rtol=3e-3, atol=1e-6
    )
    np.testing.assert_allclose(received.sum(-1), 1, rtol=1e-6)
    if top < 7:
        rest = np.argsort(-expected, axis=-1)[:, top:]
        shares = np.take_along_axis(received, rest, -1)
        np.testing.assert_allclose(shares, np.broadcast_to(shares[:, :1], shares.shape), rtol=1e-5)


def test_outputs_that_were_stored_before_a_kill_are_not_computed_again(tmp_path):
    computed = []

    def killed(epoch, first, count):
        computed.append((epoch, first))
        if len(computed) == 3:
            yield logits(epoch, first)  # half of a file
            raise KeyboardInterrupt
        yield from predict(epoch, first, count)

    cache = TeacherCache(tmp_path, KEY, **SIZE)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(killed)
    rest = []
    cache.fill(lambda *position: rest.append(position[:2]) or predict(*position))
    assert computed == [(0, 0), (0, 2), (0, 4)]
    assert rest == [(0, 4), (1, 0), (1, 2), (1, 4)]
    np.testing.assert_array_equal(cache.outputs(0, 4), logits(0, 4).argmax(-1))


PROCESS = """
import pathlib, sys, time, types

# The roots of these packages import Keras, which takes seconds and which the cache does not need.
for name, path in (("keras_deit", sys.argv[4]), ("keras_deit.data", sys.argv[4] + "/data")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]

import tests.data.pipeline.test_teacher_cache as test
assert "keras" not in sys.modules
test.module.SAMPLES_PER_FILE = 8
directory, process, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
computed = open(directory / f"computed-{process}", "w", buffering=1)
cache = test.TeacherCache(directory / "cache", test.KEY, **test.SIZE)

def predict(epoch, first, count):
    print(epoch, first, file=computed)
    for batch in range(first, first + count):
        time.sleep(seconds)
        yield test.logits(epoch, batch)

while not cache.fill(predict):
    time.sleep(0.05)
"""


def start_process(directory, process, seconds_a_batch):
    package = pathlib.Path(module.__file__).parents[2]
    arguments = map(str, (directory, process, seconds_a_batch, package))
    return subprocess.Popen([sys.executable, "-c", PROCESS, *arguments])


def test_processes_share_the_files_and_write_those_of_a_killed_process(tmp_path):
    slow = start_process(tmp_path, 0, 1000)  # it is killed while it computes its first file
    computed = tmp_path / "computed-0"
    deadline = time.monotonic() + 900
    while not (computed.exists() and computed.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    assert computed.read_text() == "0 0\n"
    others = [start_process(tmp_path, process, 0.1) for process in (1, 2)]
    try:
        assert [other.wait(timeout=900) for other in others] == [0, 0]
    finally:
        for other in others:
            other.kill()
    files = [(tmp_path / f"computed-{process}").read_text().splitlines() for process in (1, 2)]
    assert sorted(files[0] + files[1]) == ["0 0", "0 2", "0 4", "1 0", "1 2", "1 4"]  # each of them once
    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    for position, outputs in enumerate(cache.iter_from(0)):
        np.testing.assert_array_equal(outputs, logits(*divmod(position, 5)).argmax(-1))


@pytest.mark.parametrize(("value", "top"), [(np.nan, None), (np.nan, 3), (np.inf, 3)])
def test_outputs_that_are_not_finite_are_not_stored(value, top, tmp_path):
    """The class of the largest of several values is that of a NaN."""

    def overflowing(epoch, first, count):
        for batch in predict(epoch, first, count):
            batch[1, 2] = value
            yield batch

    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE, top=top)
    with pytest.raises(
        ValueError, match=r"must be finite. Received: NaN or infinity for 1 samples of a batch of epoch 1"
    ):
        cache.fill(overflowing)
    assert not list((tmp_path / "cache").glob("*.npz"))
    assert cache.fill(predict)


def test_log_probabilities_beyond_float16_stay_finite(tmp_path):
    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE, top=7)
    cache.fill(lambda *position: (batch * 1e5 for batch in predict(*position)))
    stored = cache.outputs(0, 0)
    assert np.isfinite(stored).all()
    np.testing.assert_array_equal(stored.argmax(-1), logits(0, 0).argmax(-1))


def test_metadata_of_the_teacher_are_stored_beside_its_outputs(tmp_path):
    cache = TeacherCache(tmp_path, KEY, **SIZE)
    assert cache.metadata() == {}
    cache.write_metadata(accuracy=0.5, test="abc")
    assert TeacherCache(tmp_path, KEY, **SIZE).metadata() == {"accuracy": 0.5, "test": "abc"}


def test_a_file_that_another_process_writes_is_left_to_it(tmp_path):
    import filelock

    cache = TeacherCache(tmp_path, KEY, **SIZE)
    with filelock.FileLock(tmp_path / ".epoch-0000-0001.npz.lock"):
        assert not cache.fill(predict)
    assert not cache.is_complete()
    computed = []
    assert cache.fill(lambda *position: computed.append(position) or predict(*position))
    assert computed == [(0, 2, 2)]


@pytest.mark.parametrize(
    ("key", "size", "named"),
    [
        ({**KEY, "teacher": "other"}, SIZE, "teacher: 'abc' stored, 'other' here"),
        ({**KEY, "seed": 1}, SIZE, "seed: 0 stored, 1 here"),
        ({**KEY, "more": 1}, SIZE, "more: None stored, 1 here"),
        (KEY, {**SIZE, "top": 3}, "top: None stored, 3 here"),
        (KEY, {**SIZE, "num_classes": 8}, "num_classes: 7 stored, 8 here"),
    ],
)
def test_a_cache_of_another_run_is_refused_and_kept(key, size, named, tmp_path):
    TeacherCache(tmp_path, KEY, **SIZE).fill(predict)
    with pytest.raises(ValueError, match=f"belongs to a run with other samples or another teacher.*{named}"):
        TeacherCache(tmp_path, key, **size)
    assert TeacherCache(tmp_path, KEY, **SIZE).is_complete()


def test_more_epochs_are_added_to_the_same_cache(tmp_path):
    TeacherCache(tmp_path, KEY, **SIZE).fill(predict)
    longer = TeacherCache(tmp_path, KEY, **{**SIZE, "num_epochs": 3})
    computed = []
    longer.fill(lambda *position: computed.append(position[0]) or predict(*position))
    assert computed == [2, 2, 2]


@pytest.mark.parametrize("damage", ["flipped", "cut", "other", "missing"])
def test_damage_is_found_on_reading(damage, tmp_path):
    cache = TeacherCache(tmp_path, KEY, **SIZE)
    cache.fill(predict)
    path = tmp_path / "epoch-0001-0000.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.index(b"\x93NUMPY") + 130] ^= 1  # within the stored values
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-40])
    elif damage == "other":
        np.savez(path.with_suffix(""), classes=np.zeros((3, 1), "uint16"))
    else:
        path.unlink()
    with pytest.raises(ValueError, match="epoch-0001-0000.npz"):
        cache.outputs(1, 0)
    np.testing.assert_array_equal(cache.outputs(0, 0), logits(0, 0).argmax(-1))  # the other files can be read


def test_more_classes_than_two_bytes_distinguish_are_refused(tmp_path):
    with pytest.raises(ValueError, match="takes at most 65,536 classes. Received: num_classes=70000"):
        TeacherCache(tmp_path, KEY, 1, 1, 2, num_classes=70_000)
