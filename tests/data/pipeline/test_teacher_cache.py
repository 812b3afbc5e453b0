"""Stored answers of a teacher."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_deit.data import TeacherCache
from keras_deit.data.pipeline import teacher_cache as module

pytest.importorskip("filelock", reason="it keeps two processes from one file")
KEY = {"teacher": "abc", "seed": 0, "image_size": (8, 8)}
SIZE = dict(num_epochs=2, num_batches=5, batch_size=4, num_classes=7)


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_VIEWS", 8)  # two batches


def logits(epoch, batch):
    return np.random.default_rng([epoch, batch]).normal(size=(4, 7)).astype("float32") * 3


def ask(epoch, first, count):
    for batch in range(first, first + count):
        yield logits(epoch, batch)


def never(epoch, first, count):
    raise AssertionError("the teacher was asked")


def softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_decisions_take_two_bytes_and_come_back(tmp_path):
    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    assert not cache.is_whole()
    stored = []
    assert cache.fill(ask, stored.append)
    assert (cache.is_whole(), stored) == (True, [2, 2, 1] * 2)
    again = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    assert again.fill(never)
    for place, answers in enumerate(again.following(0)):
        assert answers.dtype == np.int32
        np.testing.assert_array_equal(answers, logits(*divmod(place, 5)).argmax(-1))
    assert place == 9
    assert len(list(again.following(1, 3))) == 2
    assert np.load(next((tmp_path / "cache").glob("*.npz")))["classes"].itemsize == 2


@pytest.mark.parametrize("top", [3, 7, 100])
def test_the_highest_classes_keep_their_probabilities_and_the_others_share_the_rest(top, tmp_path):
    cache = TeacherCache(tmp_path, KEY, **SIZE, top=top)
    cache.fill(ask)
    expected, received = softmax(logits(1, 2).astype("float64")), softmax(cache.answers(1, 2).astype("float64"))
    kept = np.argsort(-expected, axis=-1)[:, :top]
    np.testing.assert_allclose(
        np.take_along_axis(received, kept, -1), np.take_along_axis(expected, kept, -1), rtol=3e-3, atol=1e-6
    )
    np.testing.assert_allclose(received.sum(-1), 1, rtol=1e-6)
    if top < 7:
        rest = np.argsort(-expected, axis=-1)[:, top:]
        shares = np.take_along_axis(received, rest, -1)
        np.testing.assert_allclose(shares, np.broadcast_to(shares[:, :1], shares.shape), rtol=1e-5)


def test_what_was_stored_before_a_kill_is_not_asked_for_again(tmp_path):
    asked = []

    def killed(epoch, first, count):
        asked.append((epoch, first))
        if len(asked) == 3:
            yield logits(epoch, first)  # half of a file
            raise KeyboardInterrupt
        yield from ask(epoch, first, count)

    cache = TeacherCache(tmp_path, KEY, **SIZE)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(killed)
    rest = []
    cache.fill(lambda *place: rest.append(place[:2]) or ask(*place))
    assert asked == [(0, 0), (0, 2), (0, 4)]
    assert rest == [(0, 4), (1, 0), (1, 2), (1, 4)]
    np.testing.assert_array_equal(cache.answers(0, 4), logits(0, 4).argmax(-1))


PROCESS = """
import pathlib, sys, time
import tests.data.test_teacher_cache as test
test.module.CHUNK_VIEWS = 8
directory, number, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
asked = open(directory / f"asked-{number}", "w", buffering=1)
cache = test.TeacherCache(directory / "cache", test.KEY, **test.SIZE)

def ask(epoch, first, count):
    print(epoch, first, file=asked)
    for batch in range(first, first + count):
        time.sleep(seconds)
        yield test.logits(epoch, batch)

while not cache.fill(ask):
    time.sleep(0.05)
"""


def process(directory, number, seconds):
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(directory), str(number), str(seconds)])


def test_processes_share_the_work_and_one_that_is_killed_leaves_it_to_the_others(tmp_path):
    slow = process(tmp_path, 0, 1000)  # seconds an answer: it is killed in the middle of its first file
    deadline = time.monotonic() + 120
    while not ((asked := tmp_path / "asked-0").exists() and asked.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    assert asked.read_text() == "0 0\n"
    others = [process(tmp_path, number, 0.2) for number in (1, 2)]
    try:
        assert [other.wait(timeout=240) for other in others] == [0, 0]
    finally:
        for other in others:
            other.kill()
    files = [(tmp_path / f"asked-{number}").read_text().splitlines() for number in (1, 2)]
    assert sorted(files[0] + files[1]) == ["0 0", "0 2", "0 4", "1 0", "1 2", "1 4"]  # each of them once
    cache = TeacherCache(tmp_path / "cache", KEY, **SIZE)
    for place, answers in enumerate(cache.following(0)):
        np.testing.assert_array_equal(answers, logits(*divmod(place, 5)).argmax(-1))


def test_a_file_that_another_process_is_at_is_left_to_it(tmp_path):
    import filelock

    cache = TeacherCache(tmp_path, KEY, **SIZE)
    with filelock.FileLock(tmp_path / ".epoch-0000-0001.npz.lock"):
        assert not cache.fill(ask)
    assert not cache.is_whole()
    asked = []
    assert cache.fill(lambda *place: asked.append(place) or ask(*place))
    assert asked == [(0, 2, 2)]


@pytest.mark.parametrize(
    ("key", "size", "named"),
    [
        ({**KEY, "teacher": "other"}, SIZE, "teacher: 'abc' there, 'other' here"),
        ({**KEY, "seed": 1}, SIZE, "seed: 0 there, 1 here"),
        ({**KEY, "more": 1}, SIZE, "more: None there, 1 here"),
        (KEY, {**SIZE, "top": 3}, "top: None there, 3 here"),
        (KEY, {**SIZE, "num_classes": 8}, "num_classes: 7 there, 8 here"),
    ],
)
def test_a_cache_of_another_run_is_refused_and_kept(key, size, named, tmp_path):
    TeacherCache(tmp_path, KEY, **SIZE).fill(ask)
    with pytest.raises(ValueError, match=f"belongs to another run.*{named}"):
        TeacherCache(tmp_path, key, **size)
    assert TeacherCache(tmp_path, KEY, **SIZE).is_whole()


def test_more_epochs_go_on_with_the_same_cache(tmp_path):
    TeacherCache(tmp_path, KEY, **SIZE).fill(ask)
    longer = TeacherCache(tmp_path, KEY, **{**SIZE, "num_epochs": 3})
    asked = []
    longer.fill(lambda *place: asked.append(place[0]) or ask(*place))
    assert asked == [2, 2, 2]


@pytest.mark.parametrize("damage", ["flipped", "cut", "other", "gone"])
def test_damage_is_noticed_on_reading(damage, tmp_path):
    cache = TeacherCache(tmp_path, KEY, **SIZE)
    cache.fill(ask)
    path = tmp_path / "epoch-0001-0000.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        place = content.index(b"\x93NUMPY") + 130  # within the stored numbers
        content[place] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-40])
    elif damage == "other":
        np.savez(path.with_suffix(""), classes=np.zeros((3, 1), "uint16"))
    else:
        path.unlink()
    with pytest.raises(ValueError, match="epoch-0001-0000.npz"):
        cache.answers(1, 0)
    np.testing.assert_array_equal(cache.answers(0, 0), logits(0, 0).argmax(-1))  # the others can be read


def test_more_classes_than_two_bytes_tell_apart_are_refused(tmp_path):
    with pytest.raises(ValueError, match="tells 65536 classes apart"):
        TeacherCache(tmp_path, KEY, 1, 1, 2, num_classes=70_000)
