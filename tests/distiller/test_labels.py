"""Labels as integers, as rows or missing, and the criteria that take logits."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.distiller.labels import (
    check_decisions,
    check_labels,
    expects_probabilities,
    is_multi_label,
    is_sparse,
    read_labels,
    takes_integers_alone,
)

ROWS = np.array([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75], [0.0, 0.0, 0.0]], "float32")


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_integers_become_one_hot(dtype, shape):
    labels = read_labels(np.array([2, 0, 1], dtype).reshape(shape), num_classes=3, sparse=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.targets), np.eye(3)[[2, 0, 1]])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.decisions), [2, 0, 1])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [1, 1, 1])


def test_a_sparse_criterion_gets_integers():
    labels = read_labels(np.array([2, -1, 1]), num_classes=3, sparse=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.targets), [2, 0, 1])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [1, 0, 1])


def test_rows_stay_as_they_are_and_all_zeros_mean_unlabelled():
    labels = read_labels(ROWS, num_classes=3, sparse=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.targets), ROWS)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.decisions), [1, 2, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [1, 1, 0])


def test_rows_of_minus_one_mean_unlabelled_and_rows_that_give_an_image_several_classes_are_marked():
    rows = np.array([[-1, -1, -1], [1, 1, 0], [0.5, 0.5, 0], [1.5, -0.5, 0], [np.nan, 0, 0]], "float32")
    labels = read_labels(rows, num_classes=3, sparse=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.invalid), [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(labels.targets), [[0] * 3, [0] * 3, [0.5, 0.5, 0], [0] * 3, [0] * 3]
    )


def test_multi_label_rows_of_zeros_are_labels_and_rows_of_minus_one_are_none():
    rows = np.array([[1, 1, 0], [0, 0, 0], [-1, -1, -1], [0.7, 0.2, 1], [1, -1, 0], [2, 0, 0], [np.nan, 0, 0]])
    labels = read_labels(rows, num_classes=3, sparse=False, multi_label=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [1, 1, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.invalid), [0, 0, 0, 0, 1, 1, 1])
    expected = rows.astype("float32") * [[1], [1], [0], [1], [0], [0], [0]]
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.targets), np.nan_to_num(expected))
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.decisions), np.nan_to_num(expected) > 0.5)


@pytest.mark.parametrize("labels", [[1, 0, 1, -1], [[1], [0], [1], [-1]]])
def test_multi_label_classes_may_be_a_single_one(labels):
    labels = read_labels(np.array(labels), num_classes=1, sparse=False, multi_label=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.targets), [[1], [0], [1], [0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [1, 1, 1, 0])


def test_integers_raise_with_a_multi_label_criterion():
    for function in (check_labels, lambda *arguments, **options: read_labels(*arguments, sparse=False, **options)):
        with pytest.raises(
            ValueError, match=r"rows of shape \(batch, 3\).*Received: shape=\(4,\).*`multi_label=False`"
        ):
            function(np.zeros(4, "int32"), num_classes=3, multi_label=True)


def test_multi_label_rows_out_of_range_raise():
    check_labels(np.array([[True, True], [False, False]]), num_classes=2, multi_label=True)
    check_labels(np.array([[0.5, 1], [-1, -1]]), num_classes=2, multi_label=True)
    rows = np.array([[1, 0], [1, -1], [0, 2]])
    with pytest.raises(
        ValueError, match=r"a value in 0..1 for each class.*Received: 2 other rows.*\[1, -1\].*row of -1"
    ):
        check_labels(rows, num_classes=2, multi_label=True)


def test_rows_that_give_an_image_several_classes_raise_unless_declared():
    with pytest.raises(
        ValueError, match=r"one class.*Received: 1 other rows.*\[1.0, 1.0, 0.0\].*BinaryCrossentropy.*multi_label"
    ):
        check_labels(np.array([[1.0, 1, 0], [0, 1, 0]]), num_classes=3)
    check_labels(np.array([[-1, -1, -1], [0, 0, 0], [0, 1, 0]]), num_classes=3)
    check_labels(np.full((2, 1000), 0.001, "float16"), num_classes=1000)


def own_binary_crossentropy(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


def test_multi_label_criteria_are_known():
    assert is_multi_label(keras.losses.BinaryCrossentropy(from_logits=True))
    assert is_multi_label(keras.losses.BinaryFocalCrossentropy(from_logits=True))
    assert not is_multi_label(keras.losses.CategoricalCrossentropy(from_logits=True))
    assert not is_multi_label(own_binary_crossentropy)  # which `multi_label=True` declares


@pytest.mark.parametrize("sparse", [False, True])
def test_classes_out_of_range_are_left_out_and_marked(sparse):
    labels = read_labels(np.array([-2, -1, 0, 2, 3]), num_classes=3, sparse=sparse)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.invalid), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.decisions), [0, 0, 0, 2, 0])


def test_fractions_and_nan_are_out_of_range():
    labels = read_labels(np.array([0.5, -0.5, np.nan, 1.0, -1.0], "float32"), num_classes=3, sparse=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.labelled), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(labels.invalid), [1, 1, 1, 0, 0])


def test_rows_raise_with_a_sparse_criterion():
    with pytest.raises(ValueError, match=r"rows over the classes, and the loss is a sparse one. Compile with"):
        read_labels(ROWS, num_classes=3, sparse=True)


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 1), ()])
def test_another_shape_raises(shape):
    with pytest.raises(ValueError, match=r"shape \(batch,\), or as rows of shape \(batch, 3\). Received: shape="):
        read_labels(np.zeros(shape, "int32"), num_classes=3, sparse=False)


@pytest.mark.parametrize("labels", [[0, 2, -1], [[0], [2], [1]], [0.0, 2.0], ROWS, []])
def test_labels_in_range_pass(labels):
    check_labels(np.asarray(labels), num_classes=3)


@pytest.mark.parametrize(
    ("labels", "received"), [([0, 3], "from 0 to 3"), ([-2, 1], "from -2 to 1"), ([0.5, 1], "from 0.5")]
)
def test_labels_out_of_range_raise(labels, received):
    with pytest.raises(
        ValueError, match=f"integers from 0 to 2 .-1 for an unlabelled example.. Received: labels {received}"
    ):
        check_labels(np.asarray(labels), num_classes=3)


@pytest.mark.parametrize("decisions", [[0, 3], [-2, 0]])
def test_decisions_out_of_range_raise(decisions):
    with pytest.raises(
        ValueError, match="stored decisions as integers from 0 to 2 .-1 for none..*trained on the same classes"
    ):
        check_decisions(np.asarray(decisions), num_classes=3)


def own_crossentropy(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (keras.losses.CategoricalCrossentropy(from_logits=True), False),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), False),
        (keras.losses.BinaryCrossentropy(from_logits=True), False),
        (own_crossentropy, False),
        ("mse", False),
        (keras.losses.CategoricalCrossentropy(), True),
        (keras.losses.CategoricalFocalCrossentropy(), True),
        (keras.losses.KLDivergence(), True),
        (keras.losses.categorical_crossentropy, True),
        ("categorical_crossentropy", True),
        ("SparseCategoricalCrossentropy", True),
        ("BCE", True),
        ("kld", True),
    ],
)
def test_criteria_of_probabilities_are_distinguished_from_criteria_of_logits(criterion, expected):
    assert expects_probabilities(criterion) is expected


def test_sparse_criteria_are_known():
    def sparse_loss(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    assert is_sparse(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert is_sparse(sparse_loss)
    assert not is_sparse(keras.losses.CategoricalCrossentropy(from_logits=True))
    assert not is_sparse(own_crossentropy)
    assert not is_sparse("mse")


class OwnLossOfIntegers(keras.losses.Loss):
    def call(self, y_true, y_pred):
        targets = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
        return -ops.sum(targets * ops.log_softmax(y_pred, axis=-1), axis=-1)


class OwnLossOfRows(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return -ops.sum(y_true * ops.log_softmax(y_pred, axis=-1), axis=-1)


def own_mean_of_integers(y_true, y_pred):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True))


def own_loss_that_broadcasts(y_true, y_pred):
    targets = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
    return -ops.sum(targets * ops.log_softmax(y_pred, axis=-1), axis=-1)


def own_loss_of_neither(y_true, y_pred):
    raise RuntimeError("for the first batch")


@pytest.mark.parametrize("num_classes", [2, 4])
def test_an_own_loss_gets_integers_where_it_cannot_take_rows(num_classes):
    for criterion in (OwnLossOfIntegers(), own_mean_of_integers):
        assert takes_integers_alone(criterion, num_classes)
    own_losses = OwnLossOfRows(), own_crossentropy, own_loss_of_neither
    for criterion in (*own_losses, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"):
        assert not takes_integers_alone(criterion, num_classes)
    # Keras passes a column of integers to functions. With rows, (C, C, C) and (C, C) would broadcast in a batch of C.
    with pytest.raises(ValueError, match="one value for each example. Received: values of shape"):
        takes_integers_alone(own_loss_that_broadcasts, num_classes)
