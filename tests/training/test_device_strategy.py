"""The devices of a run."""

import keras
import pytest

from keras_deit.training.device_strategy import check_batch_size, setup_strategy

BACKEND = keras.backend.backend()


def test_one_device_needs_no_scope():
    strategy = setup_strategy("none")
    for _ in range(2):
        with strategy.scope():
            assert strategy.num_replicas == 1


@pytest.mark.parametrize(("name", "needed"), [("mirrored", "tensorflow"), ("data_parallel", "jax")])
def test_a_strategy_belongs_to_its_backend(name, needed):
    if needed == BACKEND:
        assert setup_strategy(name).num_replicas == 2  # the two CPU devices that the tests set up
    else:
        with pytest.raises(ValueError, match=f"KERAS_BACKEND={needed}"):
            setup_strategy(name)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        setup_strategy("horovod")


def test_the_replicas_must_divide_the_batch():
    check_batch_size(64, 2)
    with pytest.raises(ValueError, match=r"batch_size=65, replicas=2\. Try --batch-size 64"):
        check_batch_size(65, 2)
    with pytest.raises(ValueError, match="Try --batch-size 4"):
        check_batch_size(1, 4)
