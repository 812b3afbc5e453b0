"""Stopping a run whose loss or weights are no longer finite, or skipping such steps."""

import math

import keras
from keras import ops

from keras_deit import recipes
from keras_deit.training.schedule import last_learning_rate

VALUES = LOSS, TEST_LOSS, WEIGHTS = "loss", "loss on the test split", "weights"
MAX_NAMED = 5  # images in a message
LOWER = 10  # factor between the learning rate of the run and a lower one, where the recipe has none


class DivergedError(ArithmeticError):
    """The loss or the weights of a run are NaN or infinite.

    Attributes:
        details: Dictionary for `summary.json`: `value` (one of `VALUES`), `epoch` and `step` (both from 1), `learning_rate`
            and `model` (the title of the model in the output of the run).
    """

    def __init__(self, message, details):
        super().__init__(message)
        self.details = details


class DivergenceStop(keras.callbacks.Callback):
    """Ends training at the first loss that is not finite, and after an epoch that leaves weights that are not finite.

    With `on_nan="skip"` the optimizer leaves such steps out (see `scaling_loss`). This callback prints them and lets the
    means of the epoch begin anew, or stay as they were if no step follows; only an epoch without any other step ends the
    training.

    Keras has the loss of every step on the host already, so the check costs no time. The error is raised when the model
    holds its variables again: on JAX it does not between two steps. Callbacks that write files must come after this one.

    Args:
        title: Title of the model.
        settings: `Settings` of the run.
        position: `Position` of the run.
        describe_batch: Function `describe_batch(epoch, step)` that names the images of a batch; both count from 0.

    Raises:
        DivergedError: From `fit`, before any callback saves the epoch.
    """

    def __init__(self, title, settings, position, describe_batch):
        super().__init__()
        self.title = title
        self.settings = settings
        self.position = position
        self.describe_batch = describe_batch
        self.has_diverged = False
        self._num_printed = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._num_skipped = 0
        self._finite_logs, self._is_skipped = (
            {},
            False,
        )  # of the last step that was not skipped; whether the last one was

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0 and self.position.step and self.settings.on_nan == "skip":  # of a run that continues in an epoch
            self._finite_logs = {name: _float(value) for name, value in self.model.get_metrics_result().items()}

    def on_train_batch_end(self, batch, logs=None):
        self._is_skipped = not math.isfinite(logs["loss"])
        if not self._is_skipped:
            self._finite_logs = dict(logs)
            return
        if self.settings.on_nan == "skip":
            self._skip()
        else:
            self.has_diverged = self.model.stop_training = True

    def _skip(self):
        epoch, step = self.position.epoch, self.position.step
        self._num_skipped += 1
        if self._num_skipped == self.position.steps_per_epoch:
            self.has_diverged = self.model.stop_training = True
        self.model.reset_metrics()
        self._reset_scale()
        if self._num_printed < MAX_NAMED:
            self._num_printed += 1
            images = _name_images(self.describe_batch(epoch, step - 1))
            print(f"{self.title}: step {step} of epoch {epoch + 1} was skipped: its loss is not finite.{images}")

    def _reset_scale(self):
        """Undoes that the optimizer has halved its scale, unless it is the scale of float16."""
        optimizer = self.model.optimizer
        if getattr(optimizer, "initial_scale", None) == 1:
            optimizer.dynamic_scale.assign(1.0)

    def on_test_begin(self, logs=None):
        self._check()  # before an evaluation that would be in vain

    def on_epoch_end(self, epoch, logs=None):
        self._check()
        self._reset_scale()
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise self._error(TEST_LOSS)
        if self._is_skipped:  # the metrics are empty; the callbacks that follow get the same dictionary
            means = (name for name in logs if not name.startswith("val_"))
            logs.update({name: self._finite_logs.get(name, math.nan) for name in means})

    def _check(self):
        if self.has_diverged:
            raise self._error(LOSS)
        if not has_finite_weights(self.model):
            raise self._error(WEIGHTS)

    def _error(self, value):
        epoch, step = self.position.epoch, self.position.step
        details = {
            "value": value,
            "epoch": epoch + 1,
            "step": step,
            "learning_rate": last_learning_rate(self.model.optimizer),
            "model": self.title,
        }
        if value == LOSS:
            details["images"] = self.describe_batch(epoch, step - 1)
        return DivergedError(_describe(details, self.settings), details)


def check_finite_loss(loss, settings):
    """Checks the loss of the first batch.

    Args:
        loss: Float.
        settings: `Settings` of the run.

    Raises:
        DivergedError: If the loss is not finite.
    """
    if not math.isfinite(loss):
        details = {"value": LOSS, "epoch": 1, "step": 1, "learning_rate": settings.learning_rate, "model": "student"}
        raise DivergedError(_describe(details, settings), details)


def has_finite_weights(model):
    """Returns whether the weights of a model, or of the student of a `Distiller`, are finite."""
    floats = [weight for weight in getattr(model, "student", model).weights if "float" in str(weight.dtype)]
    return all(bool(ops.convert_to_numpy(ops.all(ops.isfinite(ops.convert_to_tensor(weight))))) for weight in floats)


def _float(tensor):
    return float(ops.convert_to_numpy(tensor))


def _lower_learning_rate(settings):
    """The recipe's learning rate if it is lower than that of the run, otherwise a fraction of the latter."""
    of_recipe = recipes.get(settings.recipe).values(settings.model_name).get("learning_rate", math.inf)
    return of_recipe if of_recipe < settings.learning_rate else settings.learning_rate / LOWER


def _name_images(images):
    if not images:
        return ""
    more = f" and {len(images) - MAX_NAMED} more" if len(images) > MAX_NAMED else ""
    return f" The images of the step: {', '.join(images[:MAX_NAMED])}{more}."


def _describe(details, settings):
    is_or_are = "are" if details["value"] == WEIGHTS else "is"
    remedies = [f"a lower learning rate, such as --learning-rate {_lower_learning_rate(settings):g}"]
    if settings.clip_norm is None:
        remedies.append("--clip-norm 1")
    if settings.precision == "float16":
        remedies.append("--precision bfloat16")
    skip = "" if settings.on_nan == "skip" else " A run that has begun may also continue with --resume --on-nan skip."
    return (
        f"Training of the {details['model']!r} model stopped: the {details['value']} {is_or_are} not finite at step "
        f"{details['step']} of epoch {details['epoch']}, at a learning rate of {details['learning_rate']:.3g}."
        f"{_name_images(details.get('images', ()))} Received: "
        f"--learning-rate {settings.learning_rate:g}. Begin a new run with {' or with '.join(remedies)}.{skip}"
    )
