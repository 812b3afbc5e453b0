"""The devices of a run."""

import keras
import pytest

from keras_deit.training import device_strategy
from keras_deit.training.device_strategy import check_batch_size, setup_strategy
from tests.runs import num_replicas_of
from tests.training import parallel_fit

BACKEND = keras.backend.backend()


def test_one_device_needs_no_scope():
    strategy = setup_strategy("none", batch_size=3)
    for _ in range(2):
        with strategy.scope():
            assert strategy.num_replicas == 1


@pytest.mark.parametrize(("name", "needed"), [("mirrored", "tensorflow"), ("data_parallel", "jax")])
def test_a_strategy_belongs_to_its_backend(name, needed):
    if needed == BACKEND:
        assert setup_strategy(name, batch_size=8).num_replicas == 2  # the two CPU devices that the tests set up
    else:
        with pytest.raises(ValueError, match=f"KERAS_BACKEND={needed}"):
            setup_strategy(name, batch_size=8)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        setup_strategy("horovod", batch_size=8)


def test_the_replicas_must_divide_the_batch():
    check_batch_size(64, 2)
    with pytest.raises(ValueError, match=r"batch_size=65, replicas=2\. Try --batch-size 64"):
        check_batch_size(65, 2)
    with pytest.raises(ValueError, match="Try --batch-size 4"):
        check_batch_size(1, 4)
    check_batch_size(64, 2, num_parts=4)
    with pytest.raises(
        ValueError, match=r"times `accumulate`. Received: batch_size=36, .*accumulate=4. Try --batch-size 32"
    ):
        check_batch_size(36, 2, num_parts=4)


def test_auto_takes_all_devices_of_the_backend():
    strategy = setup_strategy("auto", batch_size=8)
    expected = {"tensorflow": ("mirrored", 2, ""), "jax": ("data_parallel", 2, ""), "torch": ("none", 1, "")}
    assert (strategy.name, strategy.num_replicas, strategy.note) == expected[BACKEND]
    with strategy.scope():
        replicated = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        replicated.compile()
        assert num_replicas_of(replicated) == (1 if BACKEND == "torch" else 2)
    described = strategy.describe(8)
    local = (
        "1 replica; global batch 8, local batch 8"
        if BACKEND == "torch"
        else "2 replicas; global batch 8, local batch 4"
    )
    assert described == f"Strategy: {strategy.name}, {local}."


def test_auto_takes_as_many_devices_as_divide_the_batch(monkeypatch):
    monkeypatch.setattr(device_strategy, "_set_up", lambda name, count: device_strategy.Strategy(name, count, None))
    monkeypatch.setattr(device_strategy, "count_devices", lambda: 6)
    strategies = {size: setup_strategy("auto", batch_size=size) for size in (36, 32, 7)}
    if BACKEND == "torch":
        assert {strategy.num_replicas for strategy in strategies.values()} == {1}
        assert "PyTorch trains on one of the 6 GPUs here; KERAS_BACKEND=jax or tensorflow" in strategies[36].note
        return
    assert {size: strategy.num_replicas for size, strategy in strategies.items()} == {36: 6, 32: 4, 7: 1}
    assert strategies[36].note == ""
    assert strategies[7].name == "none"
    for size in (32, 7):
        assert "a --batch-size that is a multiple of 6 uses all" in strategies[size].describe(size)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras trains on one device with PyTorch")
@pytest.mark.parametrize("run", parallel_fit.RUNS.values(), ids=parallel_fit.RUNS.keys())
def test_two_devices_train_the_weights_of_one(run):
    parallel_fit.assert_same(parallel_fit.fit("auto", **run), parallel_fit.fit("none", **run))
