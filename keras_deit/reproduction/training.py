"""One training of the study: model, teacher, `fit` and `evaluate`."""

import dataclasses
import time

import keras

from keras_deit.data import InputPipeline
from keras_deit.distiller import Distiller
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.models import DeiT, DeiTClassifier
from keras_deit.recipes.small_data import SMALL_DATA
from keras_deit.reproduction.images import evaluation_images, training_images
from keras_deit.reproduction.models import build_model
from keras_deit.reproduction.spec import AUGMENTATIONS
from keras_deit.teacher import Teacher
from keras_deit.training.divergence import has_finite_weights
from keras_deit.training.label_loss import make_criterion
from keras_deit.training.recipe_optimizer import make_optimizer
from keras_deit.training.schedule import learning_rate_schedule

BATCH_SIZE = 32
EVALUATION_BATCH = 250
FIGURES = ("accuracy", "class_accuracy", "distillation_accuracy", "teacher_accuracy", "teacher_agreement")


def train(training, teacher=None):
    """Trains a model and evaluates it once.

    Args:
        training: `Training`.
        teacher: Keras model of normalised images that returns logits, or None.

    Returns:
        The trained Keras model (a `DeiT`, or a convnet), and a dictionary of floats: `seconds`, `diverged` (1 if a weight is
        not finite, otherwise 0), and as far as they exist `FIGURES`, which are in 0..1. `accuracy` is that of the fused
        heads.
    """
    began = time.perf_counter()
    images = training_images(training)
    keras.utils.set_random_seed(training.weights_seed)
    model = build_model(training.setting, images.image_size, images.num_classes)
    learner = _compiled(training, model, teacher)
    recipe = _recipe(training)
    batches = _pipeline(training, images).training_batches()
    learner.fit(
        batches, epochs=recipe.epochs, steps_per_epoch=training.steps // recipe.epochs, shuffle=False, verbose=0
    )
    evaluated = _pipeline(training, evaluation_images(training.dataset, training.evaluated_on))
    results = learner.evaluate(evaluated.evaluation_batches(EVALUATION_BATCH), verbose=0, return_dict=True)
    figures = {name: float(results[name]) for name in FIGURES if name in results}
    diverged = float(not has_finite_weights(model))
    return model, {**figures, "diverged": diverged, "seconds": time.perf_counter() - began}


def _compiled(training, model, teacher):
    """What is trained: a Distiller, or without a teacher a classifier."""
    setting, recipe = training.setting, _recipe(training)
    schedule = learning_rate_schedule(recipe, training.steps // recipe.epochs)
    optimizer = make_optimizer(recipe, schedule, num_layers=None)
    criterion = make_criterion(recipe)
    if setting.distillation != "none":
        distiller = Distiller(
            model,
            Teacher(teacher, mean=IMAGENET_MEAN, std=IMAGENET_STD),
            distillation=setting.distillation,
            attention_weight=setting.attention_weight,
        )
        distiller.compile(optimizer, loss=criterion)
        return distiller
    classifier = DeiTClassifier(model) if isinstance(model, DeiT) else model
    classifier.compile(optimizer, loss=criterion, weighted_metrics=["accuracy"])
    return classifier


def _recipe(training):
    """The recipe for small data with the learning rate of a training; its epochs are equal parts of the steps."""
    return dataclasses.replace(SMALL_DATA, batch_size=BATCH_SIZE, learning_rate=training.setting.learning_rate)


def _pipeline(training, images):
    setting = training.setting
    augmentation = dataclasses.replace(AUGMENTATIONS[setting.augmentation], repeats=setting.repeats)
    return InputPipeline(
        images,
        image_size=images.image_size,
        batch_size=min(BATCH_SIZE, len(images) // 2 * 2),  # even, for mixup and CutMix
        augmentation=augmentation,
        seed=training.weights_seed,
        steps_per_epoch=training.steps // SMALL_DATA.epochs,
        pipeline="python",
    )
