"""The Distiller: its loss, metrics and settings, the same on every backend."""

import contextlib
import importlib
import types

import keras
import numpy as np
from keras import ops

from keras_deit import losses
from keras_deit.distiller import checks
from keras_deit.distiller.checked_data import CheckedData
from keras_deit.distiller.labels import (
    are_rows,
    is_multi_label,
    is_sparse,
    read_labels,
    single_labels,
    takes_integers_alone,
    weigh_classes,
)
from keras_deit.distiller.log_means import LogMeans
from keras_deit.distiller.metrics import by_log_name, wrap_metrics
from keras_deit.distiller.teacher_outputs import read_teacher_outputs
from keras_deit.fusion import fuse
from keras_deit.imaging.normalisation import check_normalisation
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.keras_file import check_weights_file
from keras_deit.runtime.keras_private import EpochLogsHook, PortableCompileConfig, compiled_loss, monitor_mode
from keras_deit.teacher import Teacher

_DistillationSteps = importlib.import_module(f"keras_deit.distiller.{keras.backend.backend()}").DistillationSteps

# Settings that a compiled step holds as constants.
_CONSTANTS_OF_STEPS = ("distillation", "alpha", "temperature", "attention_weight", "soft_reduction", "fusion")

_INVALID = ("invalid_labels", "invalid_outputs")  # counted beside the logs, but not reported


@keras.saving.register_keras_serializable(package="keras_deit")
class Distiller(CheckedData, _DistillationSteps, EpochLogsHook, PortableCompileConfig, keras.Model):
    """Trains a student from labels and from a teacher, with `compile` and `fit`.

    The loss is `(1 - alpha) · class_loss + alpha · distillation_loss + attention_weight · attention_loss`. The class loss is
    the `loss` given to `compile`, computed from the labels and the class logits; it must expect logits. The distillation
    loss is computed from the teacher's logits and the distillation logits or, for a student with one output, its only logits
    ("usual distillation"). Every term is a mean over the whole batch. An unlabelled example adds 0 to the class loss.

    Args:
        student: A `keras_deit.DeiT`, or any Keras model from images to logits `(batch, classes)` or to a dictionary
            with `class` and, if it has a second head, `distillation`.
        teacher: A `keras_deit.Teacher`; or a Keras model that takes the student's images unchanged and returns logits; or
            None if the data contain stored teacher outputs.
        distillation: `"hard"`: cross-entropy with the class that the teacher predicts. `"soft"`: divergence from the
            teacher's distribution. Or a function of `teacher_logits` and `student_logits`, float32 tensors
            `(batch, classes)`, that returns one value for each example, `(batch,)`. To save the Distiller, register the
            function with `keras.saving.register_keras_serializable`.
        alpha: Weight of the distillation term in 0..1; None means 0.1 for `"soft"` and 0.5 otherwise.
        temperature: Positive float, used by `"soft"` only.
        attention_weight: Weight of attention distillation, not negative. Above 0, teacher and student must be transformers
            with the same number of patches.
        soft_reduction: Used by `"soft"` only, and not with multi-label classes. `"batch_mean"` sums over the classes and
            averages over the batch; `"official"` also divides by the number of classes, as the official code does.
        multi_label: Whether an image may have any number of classes, each decided on its own. None means True if the loss
            given to `compile` is a `keras.losses.BinaryCrossentropy` or `BinaryFocalCrossentropy`, otherwise False. Pass
            False for such a loss if each image has one class.
        fusion: How the heads are fused for `accuracy` and for the metrics given to `compile`, see `keras_deit.fusion.fuse`.
        image_mean, image_std: Mean and standard deviation, for pixels in 0..1, with which the images that `fit` receives are
            normalised. None means those of `student.preprocessing`, or ImageNet's if that is None. A `Teacher` undoes this
            normalisation before it applies its own.
        name: Name of the model.

    Call arguments:
        x: Images `(batch, height, width, 3)`; or `{"image": images, "teacher": outputs}` with stored outputs of the
            teacher: logits `(batch, classes)` or, for hard distillation, the predicted classes as integers `(batch,)`, -1
            meaning none.

    Labels (`y`): integers, one-hot rows or mixed rows. Unlabelled: no `y` for a whole dataset, -1 or an all-zero row for
    single examples.

    Multi-label: `y` has rows `(batch, classes)` with a value in 0..1 for each class. A row of zeros is an image without any
    class, and a row of -1 an unlabelled image. `"hard"` and `"soft"` act on each class, see
    `keras_deit.losses.hard_distillation`, and average over the classes. Accuracies and the agreement are fractions of the
    decisions about a class.

    Logs: `loss`, `class_loss`, `distillation_loss`, `attention_loss`, `accuracy` (of the fused heads), `class_accuracy`,
    `distillation_accuracy`, `teacher_accuracy` and `teacher_agreement` (of the fused heads with the teacher), as far as data
    and models allow. The `metrics` and `weighted_metrics` given to `compile` are computed on the fused logits of the
    labelled examples. `weighted_metrics` apply the sample weights. `metrics` and the accuracies ignore the sample weights,
    but leave out examples of weight 0. Labels out of range are left out, and `fit` and `evaluate` raise an error at the end
    of the epoch.

    `alpha`, `temperature`, `attention_weight` and `teacher` may be assigned between the epochs too, for example by a
    callback.

    `predict` returns what `student.predict` returns. `save` stores student, settings and optimizer, not the teacher. After
    loading, `predict` works, and `evaluate` omits the teacher's terms; before `fit`, assign `distiller.teacher = ...`. Keras
    does not save which variables are excluded from weight decay: call `optimizer.exclude_from_weight_decay` again.

    Raises:
        ValueError: If student and teacher do not fit together, or an argument is out of range.

    Example:

    >>> import keras, keras_deit as kd, numpy as np
    >>> student = kd.DeiT.from_variant("deit_ti", num_classes=10, image_size=32, patch_size=8, num_layers=1)
    >>> teacher = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> distiller = kd.Distiller(student, teacher)
    >>> distiller.compile("adamw", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    >>> images, labels = np.zeros((8, 32, 32, 3), "float32"), np.arange(8)
    >>> history = distiller.fit(images, labels, verbose=0)
    >>> sorted(history.history)[:3]
    ['accuracy', 'class_accuracy', 'class_loss']

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, equations 2 and 3.
    """

    def __init__(
        self,
        student,
        teacher=None,
        *,
        distillation="hard",
        alpha=None,
        temperature=3.0,
        attention_weight=0.0,
        soft_reduction="batch_mean",
        multi_label=None,
        fusion="mean_logits",
        image_mean=None,
        image_std=None,
        name="distiller",
    ):
        checks.check_settings(distillation, alpha, temperature, attention_weight, soft_reduction)
        checks.check_student(student, teacher)
        record = getattr(student, "preprocessing", None)
        record = record if isinstance(record, Preprocessing) else Preprocessing()
        image_mean = record.mean if image_mean is None else image_mean
        image_std = record.std if image_std is None else image_std
        check_normalisation(image_mean, image_std, names=("image_mean", "image_std", None))
        super().__init__(name=name, dtype=student.dtype_policy)
        self.student = student
        self.distillation = distillation
        self.alpha = _default_alpha(distillation) if alpha is None else alpha
        self.temperature = temperature
        self.attention_weight = attention_weight
        self.soft_reduction = soft_reduction
        self.multi_label = multi_label
        self.fusion = fusion
        self.image_mean = np.ravel(image_mean).tolist()
        self.image_std = np.ravel(image_std).tolist()

        class_logits, distillation_logits = _heads(checks.symbolic_outputs(student))
        fuse(class_logits, distillation_logits, fusion)  # on symbolic tensors: raises if `fusion` does not fit
        self.distilled = distillation_logits is not None
        self.num_classes = class_logits.shape[-1]
        self._log_names = self._names_of_logs()
        self._log_means = LogMeans([*self._log_names, *_INVALID])
        self._reported = ("loss", *self._log_names)
        self._sparse = False
        self._metrics_by_head = False
        self._monitor_modes = {}
        self._is_multi_label = bool(multi_label)
        self._teacher = None
        self.teacher = teacher
        self.built = True

    @property
    def teacher(self):
        """The `Teacher`, or None."""
        return self._teacher

    @teacher.setter
    def teacher(self, teacher):
        if teacher is not None and not isinstance(teacher, Teacher):
            teacher = Teacher.from_bare_model(teacher)
        if teacher is not None:
            self._check_teacher(teacher)
            teacher = teacher.match_classes(getattr(self.student, "class_names", None))
        with self._changing_steps():
            self._teacher = teacher
        self.questions_teacher = True

    def __setattr__(self, name, value):
        if name == "teacher":  # Keras would track an assigned model, and so train and save it
            type(self).teacher.fset(self, value)
        elif name in _CONSTANTS_OF_STEPS and getattr(self, "_log_means", None):  # not within the constructor
            checks.check_attention_log(name, value, self._log_names)
            with self._changing_steps():
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    @contextlib.contextmanager
    def _changing_steps(self):
        """Makes the steps anew after a change within, for example by a callback: compiled ones have the former values."""
        if hasattr(self, "jax_state_sync"):
            self.jax_state_sync()  # with the variables of the former teacher
        yield
        if self.train_function is not None:
            self.make_train_function(force=True)
        if self.test_function is not None:
            self.make_test_function(force=True)

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance of a Keras optimiser.
            loss: The criterion of the class head: of logits, averaged over the batch. An own loss gets rows over the
                classes; or integers, if the loss cannot compute rows.
            metrics: List of metrics of the fused logits; or a dictionary of lists by the student's heads, such as
                `{"class": [...], "distillation": [...]}`. `"accuracy"` is always reported. Keras's metrics take labels of
                any form, and those with a threshold get probabilities, such as `Precision` and `F1Score`. An own metric gets
                logits, and the labels in the form of the data.
            **kwargs: Further arguments of `keras.Model.compile`; `weighted_metrics` has the form of `metrics`.

        Raises:
            ValueError: If `loss` is missing or unsuitable, if a metric has the name of a log that is always reported or
                takes probabilities, if the student has a single class and the loss is no binary one, or if an option does
                not work on this backend.
        """
        checks.check_criterion(loss)
        self._is_multi_label = is_multi_label(loss) if self.multi_label is None else self.multi_label
        if self._is_multi_label:
            checks.check_multi_label(loss, self.fusion, self.teacher)
        else:
            checks.check_num_classes(self.num_classes)
        self.check_compile_options(**kwargs)
        if hasattr(self.student, "multi_label"):  # a model of keras_deit, which keeps it for its predictions
            self.student.multi_label = self._is_multi_label
        activation = "sigmoid" if self._is_multi_label else "softmax"
        wrapped = wrap_metrics(metrics, kwargs.pop("weighted_metrics", None), self._head_names(), activation)
        checks.check_metrics(by_log_name(wrapped), self._log_means.names)
        self._metrics_by_head = isinstance(wrapped, dict)
        self._monitor_modes = {name: "min" if name.endswith("loss") else "max" for name in self._log_names}
        self._monitor_modes |= {name: monitor_mode(metric.metric) for name, metric in by_log_name(wrapped)}
        self._sparse = is_sparse(loss) or (not self._is_multi_label and takes_integers_alone(loss, self.num_classes))
        super().compile(optimizer=optimizer, loss=loss, weighted_metrics=wrapped or None, **kwargs)

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Loads a file of `save_weights`, see `keras.Model.load_weights`.

        Args:
            filepath, skip_mismatch: As for `keras.Model.load_weights`.
            **kwargs: As for `keras.Model.load_weights`.

        Raises:
            ValueError: If the file is of a student alone, or does not fit.
        """
        advice = "load it with `distiller.student.load_weights(path)`."
        check_weights_file(filepath, is_around_deit=True, advice=advice)
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded Distiller as it was compiled when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics_names(self):
        """Names of the logs of the last epoch, evaluation or batch, in the order in which `evaluate` lists their values."""
        return list(self._reported)

    def call(self, x, training=None):
        """The student's outputs; if `x` has the teacher's attention, the student's attention maps are added to them."""
        if not isinstance(x, dict):
            return self.student(x, training=training)
        images = keras.ops.convert_to_tensor(x["image"])  # on JAX, Keras's eager steps pass NumPy arrays
        if "teacher_attention" not in x:
            return self.student(images, training=training)
        outputs, maps = self.student.call_with_attention(images, training=training)
        outputs = outputs if isinstance(outputs, dict) else {"class": outputs}
        return {**outputs, "attention": maps}

    def add_teacher_outputs(self, data, training):
        """Adds the teacher's outputs to a batch, unless stored ones came with it.

        `fit` and `evaluate` do so themselves. A training loop of one's own calls the method outside of the gradient, before
        it calls the Distiller and `compute_loss`.

        Args:
            data: A batch of `fit` or `evaluate`: `x`, `(x, y)` or `(x, y, sample_weight)`.
            training: Whether the outputs are required. Evaluation does without them.

        Returns:
            `(x, y, sample_weight)`, `x` being a dictionary with `image` and, where there are outputs, `teacher`. In `fit`
            the sample weights include the class weights.

        Raises:
            ValueError: If outputs are required and there is no teacher, or if there are neither outputs nor labels.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        checks.check_keys(x)
        y = single_labels(y)
        x = dict(x) if isinstance(x, dict) else {"image": checks.single(x)}
        needs_attention = self.attention_weight > 0
        needs_teacher = needs_attention or "teacher" not in x
        if self.teacher is not None and needs_teacher:
            x = {**self._teacher_predictions(x["image"], needs_attention), **x}
        elif training and needs_teacher:
            raise ValueError(
                "There is no teacher (it is not saved with the Distiller). Set `distiller.teacher = ...`, or pass stored "
                "outputs: x={'image': images, 'teacher': logits} (attention distillation needs the teacher itself). To "
                "train on labels alone, fit `keras_deit.DeiTClassifier(student)`."
            )
        elif y is None and "teacher" not in x:
            raise ValueError("There are neither labels nor a teacher, so there is nothing to evaluate. Pass `y`.")
        if training and y is not None and self._class_weight is not None:
            weights = weigh_classes(y, self._class_weight, self.num_classes)
            if sample_weight is not None:
                weights = weights * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
            sample_weight = weights
        return x, y, sample_weight

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The scalar loss of a batch, see the class.

        Args:
            x, y, sample_weight: The batch that `add_teacher_outputs` returns.
            y_pred: The outputs of the Distiller for `x`.
            training: Whether the teacher's outputs are required.

        Returns:
            Scalar tensor.

        Raises:
            ValueError: If required outputs of the teacher, or attention maps of the student, are missing, or the Distiller
                is not compiled.
        """
        if not self.compiled:
            raise ValueError("`compute_loss` needs the loss that `compile` sets: call `compile` first.")
        if training:
            checks.check_loss_inputs(x, y_pred, self.attention_weight > 0)
        class_logits, distillation_logits = _heads(y_pred)
        weights = None if sample_weight is None else ops.reshape(sample_weight, (-1,))
        terms, invalid = {}, {}
        if y is not None:
            labels = read_labels(y, self.num_classes, self._sparse, self._is_multi_label)
            label_weights = labels.labelled if weights is None else labels.labelled * ops.cast(weights, "float32")
            terms["class_loss"] = compiled_loss(self, labels.targets, class_logits, label_weights)
            invalid["invalid_labels"] = ops.sum(labels.invalid)
        teacher = read_teacher_outputs(x, self.num_classes, self.distillation, self._is_multi_label)
        if teacher is not None:
            student_logits = class_logits if distillation_logits is None else distillation_logits
            values = self._distillation_values(teacher.logits, student_logits) * teacher.available
            terms["distillation_loss"] = self._reduce(values, weights)
            invalid["invalid_outputs"] = ops.sum(teacher.invalid)
        if isinstance(y_pred, dict) and "attention" in y_pred:
            maps = _patch_attention(y_pred["attention"], self.student.num_prefix_tokens)
            divergence = losses.attention_distillation(x["teacher_attention"], maps)
            terms["attention_loss"] = self._reduce(divergence, weights)
        batch_size = ops.sum(ops.ones_like(class_logits[:, 0], dtype="float32"))
        totals = {name: value * self.num_replicas() * batch_size for name, value in terms.items()} | invalid
        self._log_means.update_state(totals, dict.fromkeys(totals, batch_size))
        return self._weighted_sum(terms) + self._additional_losses()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics and returns those that the batch allows, see the class."""
        class_logits, distillation_logits = _heads(y_pred)
        fused = fuse(class_logits, distillation_logits, self.fusion)
        teacher = read_teacher_outputs(x, self.num_classes, self.distillation, self._is_multi_label)
        weights = ops.ones_like(fused[:, 0], dtype="float32")
        if sample_weight is not None:
            weights = ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        counted = ops.cast(weights > 0, "float32")
        decided = {"accuracy": self._decisions(fused), "class_accuracy": self._decisions(class_logits)}
        if distillation_logits is not None:
            decided["distillation_accuracy"] = self._decisions(distillation_logits)
        compared = {}  # by log: two tensors of decisions, and the weights of the examples
        if teacher is not None:
            decided["teacher_accuracy"] = self._decisions(teacher.logits)
            pair = decided["accuracy"], decided["teacher_accuracy"]
            compared["teacher_agreement"] = (*pair, counted * teacher.available)
        if y is not None:
            y = single_labels(y)
            labels = read_labels(y, self.num_classes, sparse=False, multi_label=self._is_multi_label)
            counted = counted * labels.labelled
            compared |= {name: (each, labels.decisions, counted) for name, each in decided.items()}
        self._count_equal(compared)
        if y is not None:
            has_rows = self._is_multi_label or are_rows(y.shape, self.num_classes)
            known = labels.targets if has_rows else labels.decisions
            logits = fused
            if self._metrics_by_head:
                logits = {"class": class_logits, "distillation": distillation_logits}
                known = dict.fromkeys(logits, known)
            results = super().compute_metrics(x, known, logits, weights * labels.labelled)
        else:
            results = {
                name: value for name, value in self.get_metrics_result().items() if name in self._always_reported()
            }
        attention = isinstance(x, dict) and "teacher_attention" in x
        unavailable = self._unavailable_logs(labelled=y is not None, taught=teacher is not None, attention=attention)
        return {name: value for name, value in results.items() if name not in unavailable}

    def get_metrics_result(self):
        """Dictionary of the values of all metrics. Metrics given to `compile` have values from the first label on."""
        results = {}
        for metric in self.metrics:
            if getattr(metric, "built", True):
                result = metric.result()
                results |= result if isinstance(result, dict) else {metric.name: result}
        return results

    def epoch_logs(self, logs):
        """The logs of an epoch: those of the last step by name, with the values of the whole epoch.

        Keras's own choice would be the values of the last step, on one replica, when its names are not those of all metrics.
        """
        self._check_invalid()
        values = {name: value for name, value in self.get_metrics_result().items() if name in logs}
        self._reported = tuple(values)
        return values

    def get_config(self):
        return {
            "student": keras.saving.serialize_keras_object(self.student),
            "distillation": _serialize_distillation(self.distillation),
            "alpha": self.alpha,
            "temperature": self.temperature,
            "attention_weight": self.attention_weight,
            "soft_reduction": self.soft_reduction,
            "multi_label": self.multi_label,
            "fusion": self.fusion,
            "image_mean": self.image_mean,
            "image_std": self.image_std,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = {**config, "student": keras.saving.deserialize_keras_object(config["student"])}
        if not isinstance(config["distillation"], str):
            config["distillation"] = keras.saving.deserialize_keras_object(config["distillation"])
        return cls(**config)

    def _teacher_predictions(self, images, return_attention):
        if not return_attention:
            return {"teacher": self.teacher(images, self.image_mean, self.image_std)}
        logits, maps = self.teacher(images, self.image_mean, self.image_std, return_attention=True)
        return {"teacher": logits, "teacher_attention": _patch_attention(maps, self.teacher.num_prefix_tokens)}

    def _distillation_values(self, teacher_logits, student_logits):
        """The distillation term of each example, `(batch,)`."""
        if callable(self.distillation):
            values = self.distillation(ops.cast(teacher_logits, "float32"), ops.cast(student_logits, "float32"))
            checks.check_distillation_values(values)
            return values
        multi_label = self._is_multi_label
        if self.distillation == "hard":
            return losses.hard_distillation(teacher_logits, student_logits, multi_label)
        divergence = losses.soft_distillation(teacher_logits, student_logits, self.temperature, multi_label)
        divides = self.soft_reduction == "official" and not multi_label  # which is an average over the classes already
        return divergence / self.num_classes if divides else divergence

    def _weighted_sum(self, terms):
        if "distillation_loss" not in terms:  # evaluation without the teacher
            return terms.get("class_loss", 0.0)
        total = self.alpha * terms["distillation_loss"]
        if "class_loss" in terms:
            total = total + (1 - self.alpha) * terms["class_loss"]
        if "attention_loss" in terms:
            total = total + self.attention_weight * terms["attention_loss"]
        return total

    def _additional_losses(self):
        """Sum of the losses of regularisers and `add_loss`; on each replica its share, because the gradients are summed."""
        values = [ops.sum(loss) for loss in self.losses]
        if self.num_replicas() > 1:
            values = [value * ops.cast(1 / self.num_replicas(), value.dtype) for value in values]
        return sum(values)

    def _reduce(self, values, weights):
        """The mean of one value for each example; on each replica its share, because the gradients are summed."""
        values = ops.cast(values, keras.config.floatx())
        if weights is not None:
            values = values * ops.cast(weights, values.dtype)
        if self.num_replicas() == 1:
            return ops.mean(values)
        num_values = ops.cast(ops.size(values) * self.num_replicas(), values.dtype)
        return ops.divide_no_nan(ops.sum(values), num_values)  # a replica may have no examples

    def label_shape(self):
        """Shape of the label of one example in the form that says "unlabelled" by -1."""
        return (self.num_classes,) if self._is_multi_label else ()

    def _decisions(self, logits):
        return logits > 0 if self._is_multi_label else ops.argmax(logits, axis=-1)

    def _count_equal(self, compared):
        """Counts how many decisions of two tensors are equal, for each log."""
        if not compared:
            return
        first, second, weights = (ops.stack(tensors) for tensors in zip(*compared.values(), strict=True))
        hits = ops.cast(ops.equal(first, second), "float32")  # (logs, batch), or (logs, batch, classes)
        hits = ops.mean(hits, axis=-1) if self._is_multi_label else hits
        sums = (ops.unstack(ops.sum(values, axis=-1), len(compared)) for values in (hits * weights, weights))
        self._log_means.update_state(*(dict(zip(compared, values, strict=True)) for values in sums))

    def _check_invalid(self):
        num_labels, num_outputs = (int(self._log_means.total(name)) for name in _INVALID)
        if num_labels:
            raise ValueError(
                f"{num_labels} labels of this epoch were out of range. They were left out of the loss. "
                f"{self._expected_labels()}"
            )
        if num_outputs:
            raise ValueError(
                f"{num_outputs} outputs of the teacher in this epoch were not finite or out of range. They were left out of "
                f"the loss. Expected logits, or stored decisions as integers from 0 to {self.num_classes - 1}, -1 for none. "
                "Check the teacher's weights and its precision, or store its outputs again."
            )

    def _expected_labels(self):
        if self._is_multi_label:
            return "Expected rows with a value in 0..1 for each class, or a row of -1 for an unlabelled example."
        return (
            f"Expected integers from 0 to {self.num_classes - 1}, or -1 for none; or rows that sum to at most 1. Build the "
            "student with the number of classes of your data, or number your classes from 0."
        )

    def _head_names(self):
        return ["class", "distillation"] if self.distilled else ["class"]

    def _names_of_logs(self):
        names = ["class_loss", "distillation_loss", "accuracy", "class_accuracy"]
        names += ["distillation_accuracy"] * self.distilled + ["teacher_accuracy", "teacher_agreement"]
        return (*names, *["attention_loss"] * (self.attention_weight > 0))

    def _always_reported(self):
        return {"loss", *self._log_names}

    def _unavailable_logs(self, labelled, taught, attention):
        names = set(_INVALID)
        if not attention:
            names.add("attention_loss")
        if not labelled:
            names |= {"class_loss", "accuracy", "class_accuracy", "distillation_accuracy", "teacher_accuracy"}
        if not taught:
            names |= {"distillation_loss", "teacher_accuracy", "teacher_agreement"}
        return names

    def _check_teacher(self, teacher):
        checks.check_no_shared_variables(self.student, teacher)
        attention = self.attention_weight > 0
        image_shape = self.student.input_shape[1:]
        normalisation = self.image_mean, self.image_std
        patches = teacher.check(image_shape, self.num_classes, *normalisation, attention, run=self.run_inference)
        if self.compiled and self._is_multi_label:
            checks.check_multi_label(self.loss, self.fusion, teacher)
        if attention:
            checks.check_patches(self.student, patches, self.run_inference)


def _default_alpha(distillation):
    return 0.1 if distillation == "soft" else 0.5


def _serialize_distillation(distillation):
    if not callable(distillation):
        return distillation
    definition = distillation if isinstance(distillation, types.FunctionType) else type(distillation)
    name = keras.saving.get_registered_name(definition)
    registered = keras.saving.get_registered_object(name)
    if registered not in (None, definition):
        raise ValueError(
            f"A Distiller can be saved only with the function that is registered as {name!r}, but another one was "
            "registered again under this name after the Distiller was built, for example by running a notebook cell twice. "
            "Build the Distiller with the newer function, or register it under another name. Received: "
            f"{distillation!r}"
        )
    if registered is None and not definition.__module__.startswith("keras."):
        raise ValueError(
            "A Distiller can be saved only if the function given as `distillation` is registered: decorate it with "
            f"@keras.saving.register_keras_serializable(package='...'). Received: {distillation!r}"
        )
    return keras.saving.serialize_keras_object(distillation)


def _heads(outputs):
    if isinstance(outputs, dict):
        return outputs["class"], outputs.get("distillation")
    return outputs, None


def _patch_attention(maps, num_prefix_tokens):
    return [attention[:, :, num_prefix_tokens:, num_prefix_tokens:] for attention in maps]
