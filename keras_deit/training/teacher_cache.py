"""Training on a teacher's stored answers: what they follow from, and asking for those that are missing."""

import dataclasses
import hashlib
import json
import os
import pathlib
import time

import keras
import numpy as np
from keras import ops

from keras_deit.data import Augmentation, InputStallTimer
from keras_deit.data.pipeline.sampling_plan import SAMPLING_VERSION
from keras_deit.data.pipeline.teacher_cache import TeacherCache
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.runtime.optional import require
from keras_deit.training.images import explain_unreadable_images

NAMES = ("name", "inbound_nodes", "input_layers", "output_layers", "seed")
WAIT_SECONDS = 2.0  # between two looks at what other processes have stored


class Answers(keras.Model):
    """A teacher's logits for the student's images, compiled as Keras compiles a prediction."""

    def __init__(self, teacher):
        super().__init__(name="answers")
        self.teacher_model = teacher.model  # tracked, so that its variables are the state of the compiled step
        self._teacher = (teacher,)  # in a tuple, which hides it from Keras
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        self.compile(loss=loss, weighted_metrics=["categorical_accuracy"])

    def call(self, images):
        return self._teacher[0](images, IMAGENET_MEAN, IMAGENET_STD)


def open_cache(run, teacher):
    """The cache of a run, which is filled where answers are missing.

    Args:
        run: `Run`.
        teacher: `keras_deit.Teacher`.

    Returns:
        `TeacherCache`, and the teacher's accuracy on the test part.

    Raises:
        ValueError: If the directory holds answers of another teacher or to other views, or the teacher has no weights that
            tell it from others.
    """
    settings, plan = run.settings, run.plan
    top = settings.teacher_cache_top if settings.distillation == "soft" else None
    size = (settings.epochs, plan.num_batches, plan.batch_size, run.train.num_classes)
    cache = TeacherCache(settings.teacher_cache, _key(run, teacher), *size, top)
    facts, test = cache.facts(), _hash_of_images(run.test)
    if not cache.is_whole() or facts.get("test") != test:
        answers = Answers(teacher)
        _fill(cache, run, answers)
        accuracy = run.evaluate_model(answers)["categorical_accuracy"]
        facts = {"accuracy": accuracy, "test": test}
        cache.remember(**facts)
    return cache, facts["accuracy"]


def _key(run, teacher):
    settings, plan = run.settings, run.plan
    augmentation = Augmentation.of(settings)
    described = {
        "views_version": SAMPLING_VERSION,
        "teacher": _hash_of(teacher.model),
        "teacher_takes": [teacher.image_size, teacher.value_range, _plain(teacher.mean), _plain(teacher.std)],
        "teacher_outputs": teacher.outputs,
        "teacher_precision": getattr(getattr(teacher.model, "dtype_policy", None), "name", None),
        "images": _hash_of_images(run.train),
        "pipeline": run.feed(run.train).pipeline_for(augmentation),
        "crop_ratio": settings.crop_ratio,
        "steps_per_epoch": plan.num_batches,
    }
    views = {name: getattr(plan, name) for name in ("num_examples", "batch_size", "image_size", "seed", "num_shards")}
    return {**described, **views, **dataclasses.asdict(augmentation)}


def _fill(cache, run, answers):
    tqdm = require("tqdm", extra="run", purpose="The progress bar")
    stream = {}  # the batches at hand, by the place of the next one

    def ask(epoch, first, count):
        place = epoch * cache.num_batches + first
        batches = stream.pop(place, None) or iter(
            run.feed(run.train).training(run.plan, InputStallTimer(), epoch, first)
        )
        for batch in range(first, first + count):
            with explain_unreadable_images(lambda batch=batch: [(run.train, run.plan.views(epoch, batch)[0])]):
                images = np.asarray(next(batches)[0])
            yield answers.predict(images, batch_size=len(images), verbose=0)
        stream.clear()
        stream[place + count] = batches

    with tqdm.tqdm(total=cache.num_epochs * cache.num_batches, desc="asking the teacher", unit="batch") as bar:
        while not cache.fill(ask, bar.update):
            bar.reset()
            time.sleep(WAIT_SECONDS)


def _hash_of(model):
    """Of what a teacher computes: its architecture and its weights, without names and random generators."""
    weights = model.weights if isinstance(model, keras.layers.Layer) else []
    if not weights:
        raise ValueError("A teacher without weights cannot be told from others, so its answers cannot be stored.")
    digest = hashlib.sha256(json.dumps(_without_names(_config_of(model)), sort_keys=True, default=str).encode())
    for variable in weights:
        values = ops.convert_to_numpy(ops.cast(variable, "float32"))
        digest.update(repr(values.shape).encode() + values.tobytes())
    return digest.hexdigest()


def _config_of(model):
    try:
        return model.get_config()
    except NotImplementedError:  # of a model of somebody's own: the weights must do
        return {}


def _without_names(config):
    """A configuration without what Keras counts up within a process."""
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if key not in NAMES}
        return {key: _without_names(value) for key, value in kept.items()}
    return [_without_names(value) for value in config] if isinstance(config, (list, tuple)) else config


def _hash_of_images(data):
    """Of what tells images apart without reading them all: names and sizes, or they themselves where they are in memory."""
    digest = hashlib.sha256(repr((data.name, len(data))).encode())
    for path in getattr(data, "paths", ()):
        digest.update(f"{'/'.join(pathlib.Path(path).parts[-2:])} {os.path.getsize(path)}\n".encode())
    if hasattr(data, "images"):
        digest.update(np.ascontiguousarray(data.images).tobytes())
    return digest.hexdigest()


def _plain(values):
    return None if values is None else np.ravel(values).tolist()
