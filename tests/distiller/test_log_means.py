"""The means of all logs, beside NumPy's."""

import numpy as np
from keras import ops

from keras_deit.distiller.log_means import LogMeans

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=size) for size in (3, 5, 1)]


def update(means, name, values):
    means.update_state({name: ops.array(values.sum())}, {name: ops.array(float(len(values)))})


def test_every_mean_is_that_of_its_own_batches():
    means = LogMeans(["first", "second", "never"])
    for batch in BATCHES:
        update(means, "second", batch)
    update(means, "first", BATCHES[0])
    results = {name: float(value) for name, value in means.result().items()}
    expected = {"first": BATCHES[0].mean(), "second": np.concatenate(BATCHES).mean(), "never": 0}
    assert list(results) == list(expected)
    np.testing.assert_allclose(list(results.values()), list(expected.values()), rtol=1e-6)
    np.testing.assert_allclose(means.total("first"), BATCHES[0].sum(), rtol=1e-6)


def test_a_reset_forgets_everything():
    means = LogMeans(["first", "second"])
    update(means, "first", BATCHES[0])
    means.reset_state()
    assert [float(value) for value in means.result().values()] == [0, 0]


def test_the_count_of_a_mean_is_its_number_of_examples():
    means = LogMeans(["first", "second"])
    for batch in BATCHES:
        update(means, "second", batch)
    assert (means.count("first"), means.count("second")) == (0, 9)
