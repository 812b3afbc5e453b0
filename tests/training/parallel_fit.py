"""Training on one device, on two, or in two processes, with the same batches: the weights and logs must be the same.

As a script it is one of two processes: `python tests/training/parallel_fit.py PORT INDEX DIRECTORY`.
"""

import pathlib
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import Augmentation, ImageData, InputPipeline
from keras_deit.runtime import processes
from keras_deit.training.accumulation import accumulating
from keras_deit.training.device_strategy import setup_strategy
from keras_deit.training.teachers import convnet
from tests.runs import SHORTEST, add_short_variant, train

CLASSES, BATCH_SIZE, EPOCHS, STEPS = 4, 8, 4, 5
MAX_EPOCHS = 6  # of the run of the command
COMMAND = [
    *SHORTEST,
    "--epochs",
    str(MAX_EPOCHS),
    "--patience",
    "1",
    "--keep",
    "best",
    "--mixup",
    "0.8",
    "--drop-path-rate",
    "0",
]
COMMAND += ["--optimizer", "sgd", "--learning-rate", "0.1", "--warmup-epochs", "0", "--clip-norm", "1"]
SOFT = "soft, in two parts, with remat"
RUNS = {
    "hard": dict(distillation="hard"),
    SOFT: dict(distillation="soft", parts=2, remat=True),
}


def images_of(split):
    """Noise: 43 training images, and 13 test images whose last batch does not fill."""
    rng = np.random.default_rng(["train", "test"].index(split))
    count = {"train": 43, "test": 13}[split]
    pixels = rng.integers(0, 256, (count, 16, 16, 3), dtype="uint8")
    return ImageData("noise", pixels, rng.integers(CLASSES, size=count), tuple("abcd"))


def fit(strategy_name, distillation, parts=1, remat=False):
    """Trains for 20 steps; returns a dictionary of arrays: the weights, the logs, and the results on the test images."""
    strategy = setup_strategy(strategy_name, BATCH_SIZE)
    count = processes.num_processes()
    shards = dict(shard=processes.process_index(), num_shards=count)
    augmentation = Augmentation(flip=0.5, mixup=0.8, cutmix=1.0, repeats=3)
    options = dict(image_size=16, batch_size=BATCH_SIZE // count, steps_per_epoch=STEPS, pipeline="python", **shards)
    training = InputPipeline(images_of("train"), augmentation=augmentation, **options)
    testing = InputPipeline(images_of("test"), **options)
    with strategy.scope():
        keras.utils.set_random_seed(1)
        sizes = dict(image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, drop_path_rate=0.0)
        student = kd.DeiT(num_classes=CLASSES, **sizes)
        for block in student.backbone.blocks:
            block.remat = remat
        teacher = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
        model = accumulating(kd.Distiller, parts)(student, teacher, distillation=distillation)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
        model.compile(kd.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0), loss)
        initial = student.get_weights()
        validation = testing.evaluation_batches(4, multiple_of=strategy.num_replicas)
        fitting = dict(epochs=EPOCHS, steps_per_epoch=training.steps, shuffle=False, verbose=0)
        logs = model.fit(training.training_batches(), validation_data=validation, **fitting).history
        weights = student.get_weights()
    assert max(np.abs(one - two).max() for one, two in zip(initial, weights, strict=True)) > 0.01
    arrays = {f"weight {index}": value for index, value in enumerate(weights)}
    return arrays | {name: np.array(values) for name, values in logs.items()}


def assert_same(received, expected):
    """The same weights to 1e-5 of the largest entry of a tensor, and the same logs."""
    assert set(received) == set(expected)
    for name, values in expected.items():
        tolerance = 1e-5 * max(np.abs(values).max(), 0.1)
        np.testing.assert_allclose(received[name], values, rtol=0, atol=tolerance, err_msg=name)


def main(port, index, directory):
    """One of two processes: a soft distillation from a live teacher, then a run of the command, from stored decisions."""
    processes.join(f"127.0.0.1:{port}", 2, int(index))
    np.savez(pathlib.Path(directory, f"soft {index}.npz"), **fit("auto", **RUNS[SOFT]))
    with pytest.MonkeyPatch.context() as patch:
        add_short_variant(patch)
        patch.setattr(convnet, "EPOCHS", 1)
        patch.setattr(convnet, "MIN_ACCURACY", 0.0)  # so that the teacher is kept for the run in one process
        options = [*COMMAND, "--strategy", "auto", "--teacher-cache", f"{directory}/cache"]
        return train(*options, "--output-dir", f"{directory}/run")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
