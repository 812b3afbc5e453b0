"""Where a run computes."""

import pathlib

import keras
import pytest

from keras_deit.training.strategy import check_batch_size, peak_memory, place

BACKEND = keras.backend.backend()


def test_one_device_needs_no_scope():
    placement = place("none")
    for _ in range(2):
        with placement.scope():
            assert placement.num_replicas == 1


@pytest.mark.parametrize(("strategy", "needed"), [("mirrored", "tensorflow"), ("data_parallel", "jax")])
def test_a_strategy_belongs_to_its_backend(strategy, needed):
    if needed == BACKEND:
        assert place(strategy).num_replicas == 2  # the two CPU devices that the tests set up
    else:
        with pytest.raises(ValueError, match=f"KERAS_BACKEND={needed}"):
            place(strategy)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        place("horovod")


def test_the_replicas_must_divide_the_batch():
    check_batch_size(64, 2)
    with pytest.raises(ValueError, match=r"batch_size=65, replicas=2\. Try --batch-size 64"):
        check_batch_size(65, 2)
    with pytest.raises(ValueError, match="Try --batch-size 4"):
        check_batch_size(1, 4)


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the other source is Linux's")
def test_the_peak_of_memory_is_that_of_the_process():
    (line,) = (line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert peak_memory() == pytest.approx(1024 * int(line.split()[1]), rel=0.05)
