"""Training on stored teacher outputs: the key of a cache, and computing the outputs that are missing."""

import dataclasses
import time

import keras
import numpy as np
from keras import ops

from keras_deit.data.augment.pillow_transform import resizing_library
from keras_deit.data.pipeline.sample_order import rows_of_shard
from keras_deit.data.pipeline.sampling_plan import SAMPLING_VERSION
from keras_deit.data.pipeline.teacher_cache import TeacherCache
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.runtime import processes
from keras_deit.runtime.progress_bar import progress_bar
from keras_deit.training.teachers.digest import digest_of_model
from keras_deit.training.usable_images import explain_unreadable_images

CHUNK = 128  # images that one device predicts at a time in a run of several processes
WAIT_SECONDS = 2.0  # between two checks of the outputs that other processes store


class TeacherPredictor(keras.Model):
    """Predicts a teacher's logits for the student's images, compiled as Keras compiles `predict`.

    Args:
        teacher: `keras_deit.Teacher`.
        image_mean, image_std: Normalisation of the student's images, for pixels in 0..1.
    """

    def __init__(self, teacher, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD):
        super().__init__(name="teacher_predictor")
        self.teacher_model = teacher.model  # tracked by Keras, so that its variables are the state of the compiled step
        self._normalisation = (image_mean, image_std)
        self._teacher = (teacher,)  # in a tuple, which Keras does not track
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        self.compile(loss=loss, weighted_metrics=["categorical_accuracy"])

    def call(self, images):
        """Returns the logits `(batch, classes)` for normalised images `(batch, height, width, 3)` of the student."""
        return self._teacher[0](images, *self._normalisation)

    def batch_function(self):
        """Returns a function from a batch of images to its logits, both arrays; each of several processes computes alone."""
        if not processes.is_distributed():
            return lambda images: self.predict(images, batch_size=len(images), verbose=0)
        predict = processes.local_function(self, self.variables)

        def predict_in_chunks(images):  # one device computes what several devices share in training
            return np.concatenate([predict(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)])

        return predict_in_chunks

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the accuracy, in which unlabelled images, whose rows are zero, do not count."""
        labelled = ops.cast(ops.any(ops.convert_to_tensor(y) > 0, axis=-1), "float32")
        return super().compute_metrics(x, y, y_pred, labelled if sample_weight is None else sample_weight * labelled)


def open_cache(settings, data, teacher, num_replicas):
    """Opens the teacher cache of a run and stores the outputs that are missing.

    Args:
        settings: `Settings` with a `teacher_cache`.
        data: `RunData`.
        teacher: `keras_deit.Teacher`.
        num_replicas: Number of devices that share a batch.

    Returns:
        `TeacherCache`, and the teacher's accuracy on the test split.

    Raises:
        ValueError: If the directory holds outputs of another teacher or for other samples, or the teacher has no weights
            that identify it.
    """
    top = settings.teacher_cache_top if settings.distillation == "soft" else None
    whole = whole_batches(data.training)  # which the files hold, for any number of processes
    size = (settings.epochs, whole.plan.num_batches, whole.plan.batch_size, data.train.num_classes)
    rows = rows_of_shard(whole.plan.batch_size, data.plan.shard, data.plan.num_shards)
    cache = TeacherCache(settings.teacher_cache, _key(settings, data, teacher), *size, top, rows)
    metadata, test = cache.metadata(), data.test.content_digest()
    if processes.from_main(not cache.is_complete() or metadata.get("test") != test):
        predictor = TeacherPredictor(teacher, data.mean, data.std)
        _fill(cache, data.train, whole, predictor)
        accuracy = data.evaluate(predictor, num_replicas)["categorical_accuracy"]
        metadata = {"accuracy": accuracy, "test": test}
        processes.only_main(lambda: cache.write_metadata(**metadata))
    return cache, processes.from_main(metadata.get("accuracy"))


def whole_batches(pipeline):
    """Returns the pipeline of one process for the batches that several processes share."""
    return dataclasses.replace(pipeline, batch_size=pipeline.plan.global_batch_size, shard=0, num_shards=1)


def _key(settings, data, teacher):
    """Everything that determines the stored outputs. The names are those of the file `key.json`."""
    plan = whole_batches(data.training).plan
    described = {
        "views_version": SAMPLING_VERSION,
        "teacher": _identity_of(teacher),
        "teacher_takes": [teacher.image_size, teacher.value_range, _to_list(teacher.mean), _to_list(teacher.std)],
        "teacher_preprocessing": teacher.preprocessing,
        "teacher_outputs": teacher.outputs,
        "teacher_precision": getattr(getattr(teacher.model, "dtype_policy", None), "name", None),
        "images": data.train.content_digest(),
        "pipeline": data.training.training_pipeline,
        "crop_ratio": settings.crop_ratio,
        "steps_per_epoch": plan.num_batches,
    }
    sampling = {
        name: getattr(plan, name) for name in ("num_examples", "batch_size", "image_size", "seed", "num_shards")
    }
    if (data.mean, data.std) != (IMAGENET_MEAN, IMAGENET_STD):
        described["normalisation"] = [data.mean, data.std]
    crops = plan.augmentation.crop_scale is not None
    if crops and data.training.training_pipeline != "tf.data" and resizing_library() != "pillow":
        described["resizing"] = resizing_library()
    if teacher.class_positions is not None:
        described["teacher_classes"] = teacher.class_positions.tolist()
    return {**described, **sampling, **dataclasses.asdict(plan.augmentation)}


def _fill(cache, images, pipeline, predictor):
    """Stores the outputs that are missing; several processes share the files, and each computes on a device of its own."""
    predict_batch = predictor.batch_function()
    open_batches = {}  # iterators of training batches, by the position of their next batch

    def predict(epoch, first, count):
        position = epoch * cache.num_batches + first
        batches = open_batches.pop(position, None) or iter(pipeline.training_batches(epoch, first))
        for batch in range(first, first + count):
            with explain_unreadable_images(lambda batch=batch: [(images, pipeline.plan.samples(epoch, batch)[0])]):
                batch_images = np.asarray(next(batches)[0])
            yield predict_batch(batch_images)
        open_batches.clear()
        open_batches[position + count] = batches

    with progress_bar(cache.num_epochs * cache.num_batches, "teacher outputs", "batches") as bar:
        while not cache.fill(predict, bar.update):
            bar.reset()
            time.sleep(WAIT_SECONDS)


def _identity_of(teacher):
    digest = digest_of_model(teacher.model)
    if digest is None:
        raise ValueError(
            "A teacher cache needs a teacher with weights, which identify it. Received: a teacher without weights. Leave "
            "--teacher-cache out."
        )
    return digest


def _to_list(values):
    return None if values is None else np.ravel(values).tolist()
