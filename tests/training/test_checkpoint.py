"""The state of a run as files."""

import zipfile

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_deit.training.checkpoint import Checkpoints, is_finite, restore_metrics, restore_state, state_of

STATE = {"student-00000": np.arange(6.0, dtype="float32").reshape(2, 3), "optimizer-00000": np.array(7)}


def write(directory, steps, **options):
    checkpoints = Checkpoints(directory, **options)
    for step in steps:
        checkpoints.write(step, {**STATE, "optimizer-00000": np.array(step)}, {"epoch": step // 10})
    return checkpoints


def test_what_is_written_is_read_again_and_the_newest_are_kept(tmp_path):
    checkpoints = write(tmp_path, [5, 10, 1_000_000_015], keep=2)
    assert [path.name for path in checkpoints.paths()] == ["step-1000000015.npz", "step-000000010.npz"]
    state, facts = checkpoints.newest()
    assert facts == checkpoints.facts() == {"epoch": 100_000_001}
    np.testing.assert_array_equal(state["student-00000"], STATE["student-00000"])
    assert state["optimizer-00000"] == 1_000_000_015
    checkpoints.discard()
    assert (checkpoints.newest(), checkpoints.facts(), list(tmp_path.iterdir())) == (None, {}, [])


def test_a_run_that_goes_on_in_shorter_epochs_loses_no_checkpoint(tmp_path):
    checkpoints = write(tmp_path, [40, 50], keep=2)
    for step, kept in ((26, [26]), (27, [27, 26]), (28, [28, 27])):  # epoch 5 of 10 steps is epoch 5 of 5 steps
        write(tmp_path, [step], keep=2)
        assert [path.name for path in checkpoints.paths()] == [f"step-0000000{number}.npz" for number in kept]
        assert checkpoints.newest()[0]["optimizer-00000"] == step


def damage(path, kind):
    content = bytearray(path.read_bytes())
    if kind == "flipped":
        with zipfile.ZipFile(path) as archive:
            middle = archive.getinfo("student-00000.npy").header_offset + 200  # within the values
        content[middle] ^= 1
    path.write_bytes(content if kind == "flipped" else content[: len(content) // 2 if kind == "cut" else 0])


@pytest.mark.parametrize("kind", ["flipped", "cut", "empty"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(tmp_path, kind):
    checkpoints = write(tmp_path, [10, 20])
    damage(checkpoints.paths()[0], kind)
    with pytest.warns(UserWarning, match="step-000000020.npz' is damaged .* continues from the one before"):
        assert checkpoints.newest()[1] == {"epoch": 1}
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "step-000000010.npz",
        "step-000000020.damaged",
    ]


@pytest.mark.filterwarnings("ignore:The checkpoint:UserWarning")
def test_every_flipped_byte_is_found_or_harmless(tmp_path):
    checkpoints = write(tmp_path, [10])
    (path,) = checkpoints.paths()
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            state, facts = checkpoints.newest()
        except TypeError:  # None: the damage was found
            (checkpoints.folder / "step-000000010.damaged").unlink()
        else:
            assert facts == {"epoch": 1}
            np.testing.assert_array_equal(state["student-00000"], STATE["student-00000"])
            assert state["optimizer-00000"] == 10


def make_model(seed):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5, seed=3),  # without a seed PyTorch draws from its global generator
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.AdamW(0.01, use_ema=True), "mse", weighted_metrics=["mae"])
    return model


def test_a_restored_model_trains_as_the_saved_one(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    saved, restored = make_model(1), make_model(2)
    for _ in range(3):
        saved.train_on_batch(x, y[:, :1])
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(3, state_of(saved), {})
    state, _ = checkpoints.newest()
    restored.train_on_batch(x, y[:, :1])  # builds the metrics; the rest of its state must not matter
    restore_state(restored, state)
    restore_metrics(restored, state)
    for name, values in state_of(restored).items():
        np.testing.assert_array_equal(values, state_of(saved)[name])
    assert restored.train_on_batch(x, y[:, :1]) == saved.train_on_batch(x, y[:, :1])
    for ours, theirs in zip(restored.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_in_bfloat16_survive(tmp_path):
    layer = keras.layers.Dense(2, dtype="bfloat16")
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile("sgd", "mse")
    before = keras.ops.convert_to_numpy(layer.kernel)
    assert before.dtype == ml_dtypes.bfloat16
    Checkpoints(tmp_path).write(1, state_of(model), {})
    layer.kernel.assign(keras.ops.zeros((2, 2)))
    restore_state(model, Checkpoints(tmp_path).newest()[0])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.kernel), before)


def test_the_state_of_another_model_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match="checkpoint is of another model: its student has"):
        restore_state(make_model(0), state_of(other))


def test_weights_that_are_not_finite_are_recognised():
    assert is_finite({"student-00000": np.zeros(2), "metrics-00000": np.array(np.nan)})
    assert not is_finite({"student-00000": np.array([0, np.inf])})
