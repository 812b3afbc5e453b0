"""The times of single operations; the values themselves are for the benchmark alone."""

import pytest

from keras_deit.benchmark import operations, timing

pytest.importorskip("tensorflow", reason="the operations run within tf.data")
pytest.importorskip("PIL.Image", reason="the operations also run by Pillow")
pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")


@pytest.mark.backend_independent
def test_operations_are_timed_within_tf_data_and_by_pillow(monkeypatch):
    monkeypatch.setattr(timing, "MEDIAN_SECONDS", 0.001)
    monkeypatch.setattr(operations, "NAMES", operations.NAMES[:2])
    rows = list(operations.operation_milliseconds(16))
    assert [name for name, _, _ in rows] == ["AutoContrast", "Equalize"]
    assert all(within_tf_data >= 0 and by_pillow > 0 for _, within_tf_data, by_pillow in rows)
