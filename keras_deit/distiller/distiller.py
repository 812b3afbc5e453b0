"""The Distiller: what it computes, the same on every backend."""

import importlib

import keras
import numpy as np
from keras import ops

from keras_deit import losses
from keras_deit.distiller import checks
from keras_deit.distiller.labels import are_rows, is_sparse, read_classes, read_labels
from keras_deit.distiller.metrics import LabelledOnly
from keras_deit.fusion import fuse
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.teacher import Teacher

_DistillationSteps = importlib.import_module(f"keras_deit.distiller.{keras.backend.backend()}").DistillationSteps


class _BatchMean(keras.losses.Loss):
    """Reduces values of examples as Keras's losses do: with sample weights, and right on several replicas."""

    def call(self, y_true, y_pred):
        return y_pred


@keras.saving.register_keras_serializable(package="keras_deit")
class Distiller(_DistillationSteps, keras.Model):
    """Trains a student from labels and from a teacher, through plain `compile` and `fit`.

    The loss is `(1 - alpha) · criterion(class logits, labels) + alpha · distillation(distillation logits, teacher)` plus
    `attention_weight · attention distillation`. The criterion is the `loss` given to `compile`; it must take logits. A
    student with one output, or without a distillation token, has the distillation term on its class logits ("usual
    distillation"). Each example adds its own share, so an unlabelled one adds the teacher's part alone.

    Args:
        student: A `keras_deit.DeiT`, or any Keras model from images to logits `(batch, classes)` or to a dictionary
            with `class` and, if it has one, `distillation`.
        teacher: A `keras_deit.Teacher`; or a Keras model that takes the student's images as they are and answers with
            logits; or None, when the teacher's outputs come with the data.
        distillation: `"hard"`, cross-entropy with the teacher's decision, or `"soft"`, divergence from its distribution.
        alpha: Share of the distillation term in 0..1; None means 0.5 for hard and 0.1 for soft.
        temperature: Positive float, of soft distillation.
        attention_weight: Weight of attention distillation; needs a transformer teacher with as many patches.
        soft_reduction: `"batch_mean"` sums over the classes and averages over the batch; `"official"` also divides by the
            number of classes, as the official code does.
        fusion: How the heads are fused for `accuracy` and the metrics given to `compile`, see `keras_deit.fusion.fuse`.
        image_mean, image_std: The normalisation of the images that `fit` receives, of pixels in 0..1. It is undone
            before a `Teacher` applies its own.
        name: Name of the model.

    Call arguments:
        x: Images `(batch, height, width, 3)`; or `{"image": images, "teacher": outputs}` with stored outputs of the
            teacher, logits `(batch, classes)` or, for hard distillation, integer decisions `(batch,)`.

    Labels (`y`): integers, one-hot or mixed rows. Unlabelled: no `y` for a whole dataset, -1 or an all-zero row for
    single examples.

    Logs: `loss`, `class_loss`, `distillation_loss`, `attention_loss`, `accuracy` (of the fused heads), `class_accuracy`,
    `distillation_accuracy`, `teacher_accuracy`, `teacher_agreement` (of the fused heads with the teacher), those that
    the data and the models allow. Accuracies, and the `metrics` given to `compile`, count each labelled example once,
    those of sample weight 0 not at all; `weighted_metrics` count by weight. Both see the fused logits. A label that is no
    class is left out, and makes `fit` and `evaluate` raise at the end of the epoch.

    `predict` returns what `student.predict` returns. `save` holds student, settings and optimiser, not the teacher: after
    loading, `evaluate` (without the teacher's terms) and `predict` work, and `fit` asks for `distiller.teacher = ...`.
    (Keras does not save which variables an optimiser leaves undecayed: call its `exclude_from_weight_decay` again.)

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
        fusion="mean_logits",
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
        name="distiller",
    ):
        checks.check_settings(distillation, alpha, temperature, attention_weight, soft_reduction)
        checks.check_student(student, teacher)
        super().__init__(name=name, dtype=student.dtype_policy)
        self.student = student
        self.distillation = distillation
        self.alpha = checks.DEFAULT_ALPHA[distillation] if alpha is None else alpha
        self.temperature = temperature
        self.attention_weight = attention_weight
        self.soft_reduction = soft_reduction
        self.fusion = fusion
        self.image_mean = np.ravel(image_mean).tolist()
        self.image_std = np.ravel(image_std).tolist()

        class_logits, distillation_logits = _heads(checks.symbolic_outputs(student))
        fuse(class_logits, distillation_logits, fusion)  # symbolic: raises what is wrong with `fusion`
        self.distilled = distillation_logits is not None
        self.num_classes = class_logits.shape[-1]
        self._batch_mean = _BatchMean(name="batch_mean")
        self._means = {tracker: keras.metrics.Mean(name=tracker) for tracker in self._metric_names()}
        self._impossible = keras.metrics.Sum(name="impossible_labels")
        self._sparse = False
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
            teacher = Teacher.of_bare_model(teacher)
        if teacher is not None:
            self._check_teacher(teacher)
        self._teacher = teacher
        self.train_function = self.test_function = None  # compiled with the former teacher

    def __setattr__(self, name, value):
        if name == "teacher":  # Keras would track a model that is assigned, and so train and save it
            type(self).teacher.fset(self, value)
        else:
            super().__setattr__(name, value)

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance of a Keras optimiser.
            loss: The criterion of the class head: on logits, averaged over the batch.
            metrics: List of metrics of the fused logits. `"accuracy"` is always reported.
            **kwargs: Any further argument of `keras.Model.compile`.

        Raises:
            ValueError: If there is no such loss, if a metric has the name of one that is always reported, or if an option
                cannot work on this backend.
        """
        checks.check_criterion(loss)
        self.check_compile(**kwargs)
        counted = [metric for metric in metrics or () if metric not in ("accuracy", "acc")]
        weighted = list(kwargs.pop("weighted_metrics", None) or ())
        checks.check_metric_names([*counted, *weighted], self._means)
        counted = [metric if isinstance(metric, LabelledOnly) else LabelledOnly(metric) for metric in counted]
        self._sparse = is_sparse(loss)
        super().compile(optimizer=optimizer, loss=loss, weighted_metrics=counted + weighted or None, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded Distiller as it was when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Trains, as `keras.Model.fit` does, after a look at arrays of labels and at the batch size.

        Args:
            x: Images or a dataset, see the class.
            y: Labels, see the class.
            batch_size: Number of images in a batch, over all replicas; of a dataset None.
            *args, **kwargs: Any further argument of `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: If a label is out of range, or the replicas do not divide a batch.
        """
        validation_data = kwargs.get("validation_data")
        self._check_data(x, y, kwargs.get("sample_weight"))
        split = 0 if validation_data is not None else kwargs.get("validation_split", 0)
        self._check_batches(x, batch_size, split)
        if isinstance(validation_data, (tuple, list)):
            x_y_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
            self._check_data(*x_y_weight)
            self._check_batches(x_y_weight[0], kwargs.get("validation_batch_size") or batch_size)
        elif validation_data is not None:
            self._check_batches(validation_data)
            kwargs["validation_data"] = self.filled_up(validation_data)
        return super().fit(self.filled_up(x), y, batch_size, *args, **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Evaluates, as `keras.Model.evaluate` does, after the same look; without a teacher, on the labels alone.

        Args:
            x: Images or a dataset, see the class.
            y: Labels, see the class.
            batch_size: Number of images in a batch, over all replicas; of a dataset None.
            *args, **kwargs: Any further argument of `keras.Model.evaluate`.

        Returns:
            The logs, see `keras.Model.evaluate`.

        Raises:
            ValueError: If a label is out of range, or the replicas do not divide a batch.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # `fit` asks so after every epoch, about data that it looked at
            self._check_data(x, y, kwargs.get("sample_weight"))
            self._check_batches(x, batch_size)
            x = self.filled_up(x)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def call(self, x, training=None):
        """The student's outputs; with the teacher's attention in `x`, its own attention maps beside them."""
        if not isinstance(x, dict):
            return self.student(x, training=training)
        if "teacher_attention" not in x:
            return self.student(x["image"], training=training)
        outputs, maps = self.student.call_with_attention(x["image"], training=training)
        outputs = outputs if isinstance(outputs, dict) else {"class": outputs}
        return {**outputs, "attention": maps}

    def with_teacher(self, data, training):
        """Puts the teacher's outputs beside the images of a batch.

        Args:
            data: What `fit` or `evaluate` iterates over: `x`, `(x, y)` or `(x, y, sample_weight)`.
            training: Whether the outputs are needed, or only welcome.

        Returns:
            `(x, y, sample_weight)`, `x` being a dictionary with `image` and, from the teacher or as it came, `teacher`.

        Raises:
            ValueError: If they are needed and there is no teacher.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = dict(x) if isinstance(x, dict) else {"image": x}
        attention = self.attention_weight > 0
        if self.teacher is not None and (attention or "teacher" not in x):
            answer = self.teacher(x["image"], self.image_mean, self.image_std, return_attention=attention)
            logits, maps = answer if attention else (answer, None)
            x.setdefault("teacher", logits)
            if attention:
                x["teacher_attention"] = _patch_attention(maps, self.teacher.num_prefix_tokens)
        elif training and (attention or "teacher" not in x):
            raise ValueError(
                "There is no teacher to ask (it is not saved with the Distiller). Set `distiller.teacher = ...`, or pass "
                "stored outputs: x={'image': images, 'teacher': logits} (attention distillation needs the teacher itself). "
                "To train on labels alone, fit `keras_deit.DeiTClassifier(student)`."
            )
        elif y is None and "teacher" not in x:
            raise ValueError("There are neither labels nor a teacher, so there is nothing to evaluate. Pass `y`.")
        return x, y, sample_weight

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The scalar loss of a batch, see the class."""
        class_logits, distillation_logits = _heads(y_pred)
        batch_size = ops.shape(class_logits)[0]
        weights = None if sample_weight is None else ops.reshape(sample_weight, (-1,))
        terms = {}
        if y is not None:
            labels = read_labels(y, self.num_classes, self._sparse)
            label_weights = labels.labelled if weights is None else labels.labelled * ops.cast(weights, "float32")
            terms["class_loss"] = self._compile_loss(labels.targets, class_logits, label_weights)
            self._impossible.update_state(labels.impossible)
        teacher, answered, impossible = self._teacher_outputs(x)
        if teacher is not None:
            self._impossible.update_state(impossible)
            student_logits = class_logits if distillation_logits is None else distillation_logits
            values = self._distillation(teacher, student_logits) * answered
            terms["distillation_loss"] = self._reduce(values, weights)
        if isinstance(y_pred, dict) and "attention" in y_pred:
            maps = _patch_attention(y_pred["attention"], self.student.num_prefix_tokens)
            divergence = losses.attention_distillation(x["teacher_attention"], maps)
            terms["attention_loss"] = self._reduce(divergence, weights)
        for name, value in terms.items():
            self._means[name].update_state(value * self.num_replicas(), sample_weight=batch_size)
        return self._total(terms) + sum(self._aggregate_additional_loss(loss) for loss in self.losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics and returns those that this batch has, see the class."""
        class_logits, distillation_logits = _heads(y_pred)
        fused = fuse(class_logits, distillation_logits, self.fusion)
        teacher, answered, _ = self._teacher_outputs(x)
        weights = ops.ones_like(fused[:, 0], dtype="float32")
        if sample_weight is not None:
            weights = ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        counted = ops.cast(weights > 0, "float32")
        if teacher is not None:
            self._count("teacher_agreement", fused, ops.argmax(teacher, axis=-1), counted * answered)
        if y is not None:
            labels = read_labels(y, self.num_classes, sparse=False)
            counted = counted * labels.labelled
            answers = {"accuracy": fused, "class_accuracy": class_logits}
            answers.update(distillation_accuracy=distillation_logits, teacher_accuracy=teacher)
            for name, logits in answers.items():
                if logits is not None:
                    self._count(name, logits, labels.classes, counted)
            known = labels.targets if are_rows(y.shape, self.num_classes) else labels.classes
            results = super().compute_metrics(x, known, fused, weights * labels.labelled)
        else:
            results = {metric.name: metric.result() for metric in (self._loss_tracker, *self._means.values())}
        attention = isinstance(x, dict) and "teacher_attention" in x
        absent = self._absent(labelled=y is not None, taught=teacher is not None, attention=attention)
        return {name: value for name, value in results.items() if name not in absent}

    def get_metrics_result(self):
        """The values of all metrics; those given to `compile` are there from the first label on."""
        results = {}
        for metric in self.metrics:
            if getattr(metric, "built", True):
                result = metric.result()
                results |= result if isinstance(result, dict) else {metric.name: result}
        return results

    def get_config(self):
        return {
            "student": keras.saving.serialize_keras_object(self.student),
            "distillation": self.distillation,
            "alpha": self.alpha,
            "temperature": self.temperature,
            "attention_weight": self.attention_weight,
            "soft_reduction": self.soft_reduction,
            "fusion": self.fusion,
            "image_mean": self.image_mean,
            "image_std": self.image_std,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = {**config, "student": keras.saving.deserialize_keras_object(config["student"])}
        return cls(**config)

    def _distillation(self, teacher, student_logits):
        if self.distillation == "hard":
            return losses.hard_distillation(teacher, student_logits)
        divergence = losses.soft_distillation(teacher, student_logits, self.temperature)
        return divergence / self.num_classes if self.soft_reduction == "official" else divergence

    def _total(self, terms):
        if "distillation_loss" not in terms:  # evaluation without the teacher
            return terms.get("class_loss", 0.0)
        total = self.alpha * terms["distillation_loss"]
        if "class_loss" in terms:
            total = total + (1 - self.alpha) * terms["class_loss"]
        if "attention_loss" in terms:
            total = total + self.attention_weight * terms["attention_loss"]
        return total

    def _reduce(self, values, weights):
        return self._batch_mean(values, values, sample_weight=weights)

    def _count(self, name, logits, classes, counted):
        hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), ops.cast(classes, "int32"))
        self._means[name].update_state(ops.cast(hits, "float32"), sample_weight=counted)

    def _teacher_outputs(self, x):
        """The teacher's logits or decisions `(batch, classes)`; and 1 for each example that it answered, and answered
        with a class that there is not, else 0."""
        if not isinstance(x, dict) or "teacher" not in x:
            return None, None, None
        outputs = x["teacher"]
        if len(outputs.shape) == 2:
            answered = ops.ones_like(outputs[:, 0], dtype="float32")
            return outputs, answered, ops.zeros_like(answered)
        if self.distillation == "soft":
            raise ValueError(
                "Soft distillation needs the teacher's logits (batch, classes) as stored outputs. "
                f"Received: decisions of shape {tuple(outputs.shape)}"
            )
        decisions, answered, impossible = read_classes(outputs, self.num_classes)
        return ops.one_hot(decisions, self.num_classes), answered, impossible

    def _metric_names(self):
        names = ["class_loss", "distillation_loss", "accuracy", "class_accuracy"]
        names += ["distillation_accuracy"] * self.distilled + ["teacher_accuracy", "teacher_agreement"]
        return names + ["attention_loss"] * (self.attention_weight > 0)

    def _absent(self, labelled, taught, attention):
        absent = {"impossible_labels"} if attention else {"impossible_labels", "attention_loss"}
        if not labelled:
            absent |= {"class_loss", "accuracy", "class_accuracy", "distillation_accuracy", "teacher_accuracy"}
        if not taught:
            absent |= {"distillation_loss", "teacher_accuracy", "teacher_agreement"}
        return absent

    def _get_metrics_result_or_logs(self, logs):
        """Ends an epoch. Keras would take the last step's logs, those of one replica, when they name fewer metrics."""
        impossible = int(self._impossible.result())
        if impossible:
            raise ValueError(
                f"{impossible} labels or stored decisions of this epoch were no class: expected integers from 0 to "
                f"{self.num_classes - 1}, or -1 for none. They were left out of the loss. Build the student with the number "
                "of classes of your data, or count your classes from 0."
            )
        return {name: value for name, value in self.get_metrics_result().items() if name in logs}

    def _check_teacher(self, teacher):
        checks.check_separate(self.student, teacher)
        attention = self.attention_weight > 0
        image_shape = self.student.input_shape[1:]
        normalisation = self.image_mean, self.image_std
        patches = teacher.check(image_shape, self.num_classes, *normalisation, attention, run=self.run_once)
        if attention:
            checks.check_patches(self.student, patches, self.run_once)

    def _check_data(self, x, y=None, sample_weight=None):
        normalisation = self.image_mean, self.image_std
        checks.check_arrays(x, y, sample_weight, self.num_classes, self.distillation, *normalisation)

    def _check_batches(self, x, batch_size=None, validation_split=0):
        replicas = self.batch_divisor()
        if replicas > 1:
            sizes = self.batch_size_of(x) if hasattr(x, "element_spec") else None
            checks.check_batches(sizes or checks.batch_sizes(x, batch_size, validation_split), replicas)


def _heads(outputs):
    if isinstance(outputs, dict):
        return outputs["class"], outputs.get("distillation")
    return outputs, None


def _patch_attention(maps, num_prefix_tokens):
    return [attention[:, :, num_prefix_tokens:, num_prefix_tokens:] for attention in maps]
