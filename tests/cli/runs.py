"""Runs of the main job that take seconds."""

import json

import keras

from keras_deit.cli import main

SHORT = ["--variant", "deit_short", "--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "8"]


def train(*arguments):
    return main(["train", *map(str, arguments)])


def summary_of(directory):
    return json.loads((directory / "summary.json").read_text())


def weights_of(directory):
    return keras.saving.load_model(directory / "student.keras", compile=False).get_weights()


def replicas_of(model):
    """Number of devices that really share a batch."""
    if keras.backend.backend() == "tensorflow":
        return model.distribute_strategy.num_replicas_in_sync
    distribution = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    return distribution.device_mesh.shape[0] if distribution else 1
