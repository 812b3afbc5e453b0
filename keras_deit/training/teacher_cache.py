"""Training on a teacher's stored answers: what they follow from, and asking for those that are missing."""

import dataclasses
import hashlib
import pathlib
import time

import keras
import numpy as np
from keras import ops

from keras_deit.data import Augmentation, Waiting
from keras_deit.data.teacher_cache import TeacherCache
from keras_deit.extras import require
from keras_deit.imagenet import IMAGENET_MEAN, IMAGENET_STD

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
        ValueError: If the directory holds answers of another teacher or to other views.
    """
    settings, plan = run.settings, run.plan
    top = settings.teacher_cache_top if settings.distillation == "soft" else None
    size = (settings.epochs, plan.num_batches, plan.batch_size, run.train.num_classes)
    cache = TeacherCache(settings.teacher_cache, _key(run, teacher), *size, top)
    if not cache.is_whole() or not cache.facts():
        answers = Answers(teacher)
        _fill(cache, run, answers)
        cache.remember(
            accuracy=answers.evaluate(run.test_batches(), verbose=0, return_dict=True)["categorical_accuracy"]
        )
    return cache, cache.facts()["accuracy"]


def _key(run, teacher):
    settings, plan = run.settings, run.plan
    described = {
        "teacher": _hash_of(teacher.variables),
        "teacher_takes": [teacher.image_size, teacher.value_range, _plain(teacher.mean), _plain(teacher.std)],
        "teacher_outputs": teacher.outputs,
        "teacher_precision": getattr(getattr(teacher.model, "dtype_policy", None), "name", None),
        "images": _hash_of_images(run.train),
        "crop_ratio": settings.crop_ratio,
        "steps_per_epoch": plan.num_batches,
    }
    views = {name: getattr(plan, name) for name in ("num_examples", "batch_size", "image_size", "seed", "num_shards")}
    return {**described, **views, **dataclasses.asdict(Augmentation.of(settings))}


def _fill(cache, run, answers):
    tqdm = require("tqdm", extra="run", purpose="The progress bar")

    def ask(epoch, first, count):
        batches = iter(run.feed(run.train).training(run.plan, Waiting(), epoch, first))
        for _ in range(count):
            images, _ = next(batches)
            yield ops.convert_to_numpy(answers.predict_on_batch(np.asarray(images)))

    with tqdm.tqdm(total=cache.num_epochs * cache.num_batches, desc="asking the teacher", unit="batch") as bar:
        while not cache.fill(ask, bar.update):
            bar.reset()
            time.sleep(WAIT_SECONDS)


def _hash_of(variables):
    digest = hashlib.sha256()
    for variable in variables:
        values = ops.convert_to_numpy(ops.cast(variable, "float32"))
        digest.update(repr(values.shape).encode() + values.tobytes())
    return digest.hexdigest()


def _hash_of_images(data):
    """Of what tells images apart without reading them all: their names, or they themselves where they are in memory."""
    digest = hashlib.sha256(repr((data.name, len(data))).encode())
    if hasattr(data, "paths"):
        digest.update("\n".join("/".join(pathlib.Path(path).parts[-2:]) for path in data.paths).encode())
    elif hasattr(data, "images"):
        digest.update(np.ascontiguousarray(data.images).tobytes())
    return digest.hexdigest()


def _plain(values):
    return None if values is None else np.ravel(values).tolist()
