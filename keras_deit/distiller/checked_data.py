"""The checks of the data that a Distiller is given, and the class weights of `fit`."""

import contextlib
import functools

import keras
import numpy as np

from keras_deit.distiller import checks
from keras_deit.distiller.chance import describe_chance
from keras_deit.distiller.metrics import set_modes
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.endless import check_steps
from keras_deit.runtime.first_batch import FirstBatchCheck


class CheckedData:
    """Mixin for the Distiller: `fit`, `evaluate`, `predict` and the methods of a batch, which check their data first."""

    _is_fitting = False
    _class_weight = _compiled_class_weight = None

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """Trains, as `keras.Model.fit` does, after checking arrays, batch sizes and the images of the first batch.

        If the teacher is no better than chance on the validation data, `fit` warns.

        Args:
            x: Images or a dataset, see the class.
            y: Labels, see the class.
            batch_size: Number of images in a batch, over all replicas; None for a dataset.
            epochs, verbose, validation_split: See `keras.Model.fit`.
            callbacks: See `keras.Model.fit`. Those that monitor a log in the mode `"auto"`, such as
                `keras.callbacks.EarlyStopping`, get the mode of that log.
            validation_data: See `keras.Model.fit`.
            **kwargs: Further arguments of `keras.Model.fit`. `class_weight` works with data of any kind. It multiplies the
                sample weights, and unlabelled images have the class weight 1.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: If a label is out of range, the images are not normalised as declared, the replicas do not divide a
                batch, or the data have no end and the number of steps is not given.
        """
        check_steps("steps_per_epoch", kwargs.get("steps_per_epoch"), x)
        check_steps("validation_steps", kwargs.get("validation_steps"), validation_data)
        first_batch = self._first_batch_check()
        class_weight = kwargs.pop("class_weight", None)
        self._check_data(x, y, kwargs.get("sample_weight"))
        set_modes(callbacks, self._monitor_modes)
        split = 0 if validation_data is not None else validation_split
        self._check_batches(x, batch_size, split)
        if isinstance(validation_data, (tuple, list)):
            x_y_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
            self._check_data(*x_y_weight)
            self._check_batches(x_y_weight[0], kwargs.get("validation_batch_size") or batch_size)
            first_batch.of(x_y_weight[0])
        elif validation_data is not None:
            self._check_batches(validation_data)
            validation_data = first_batch.of(self.pad_batches(validation_data))
        kwargs |= dict(validation_split=validation_split, validation_data=validation_data)
        x = first_batch.of(self.pad_batches(x))
        self._is_fitting = True
        try:
            with first_batch, self._weighting_classes(class_weight):
                return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)
        finally:
            self._is_fitting = False

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """Evaluates, as `keras.Model.evaluate` does, after the same checks. Without a teacher it uses the labels alone.

        If the teacher is no better than chance on the data, `evaluate` warns.

        Args:
            x: Images or a dataset, see the class.
            y: Labels, see the class.
            batch_size: Number of images in a batch, over all replicas; None for a dataset.
            verbose, steps, callbacks: See `keras.Model.evaluate`.
            sample_weight: Weight of each example, `(examples,)`.
            return_dict: Whether to return a dictionary instead of a list.
            **kwargs: For Keras, which evaluates in `fit`.

        Returns:
            The logs: a dictionary from names to values, or a list of the values in the order of `metrics_names`.

        Raises:
            ValueError: If a label is out of range, or the replicas do not divide a batch.
        """
        kwargs |= dict(steps=steps, callbacks=callbacks, return_dict=True)
        is_validation = self._is_fitting and isinstance(callbacks, keras.callbacks.CallbackList)
        if is_validation:  # of validation data, `fit` has checked and padded the whole already
            logs = super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)
            self._question_teacher(logs)
            return logs
        check_steps("steps", steps, x)
        self._check_data(x, y, sample_weight)
        self._check_batches(x, batch_size)
        with self._first_batch_check() as first_batch:
            x = first_batch.of(self.pad_batches(x))
            logs = super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)
        self._question_teacher(logs)
        return logs if return_dict else [logs[name] for name in self.metrics_names]

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Trains on a batch, see `keras.Model.train_on_batch`, after the same checks as `fit`."""
        self._check_data(x, y, sample_weight)
        self._first_batch_check().of(x)
        with self._weighting_classes(class_weight):
            logs = super().train_on_batch(x, y, sample_weight, return_dict=True)
        return self._batch_logs(logs, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluates a batch, see `keras.Model.test_on_batch`, after the same checks as `evaluate`."""
        self._check_data(x, y, sample_weight)
        self._first_batch_check().of(x)
        return self._batch_logs(super().test_on_batch(x, y, sample_weight, return_dict=True), return_dict)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Returns the student's outputs, see `keras.Model.predict`, after the same check of the images as `fit`."""
        check_steps("steps", steps, x)
        with FirstBatchCheck(self._image_check()) as first_batch:
            return super().predict(first_batch.of(x), batch_size, verbose, steps, callbacks)

    def predict_on_batch(self, x):
        """Returns the student's outputs, see `keras.Model.predict_on_batch`, after the same check of the images as `fit`."""
        self._image_check()(x)
        return super().predict_on_batch(x)

    def __call__(self, x, *args, **kwargs):
        """Calls the model, see `keras.Model.__call__`, after a check of the images in NumPy arrays, see `fit`."""
        if all(isinstance(array, np.ndarray) for array in keras.tree.flatten(x)):
            self._image_check()(x)
        return super().__call__(x, *args, **kwargs)

    def _image_check(self):
        return functools.partial(checks.check_images, image_mean=self.image_mean, image_std=self.image_std)

    def _first_batch_check(self):
        needs_logits = self.distillation == "soft" or self._is_multi_label
        settings = dict(image_mean=self.image_mean, image_std=self.image_std)
        settings |= dict(num_classes=self.num_classes, needs_logits=needs_logits)
        return FirstBatchCheck(functools.partial(checks.check_x, **settings))

    def _check_data(self, x, y=None, sample_weight=None):
        checks.check_arrays(x, y, sample_weight, self.num_classes, self._is_multi_label)

    @contextlib.contextmanager
    def _weighting_classes(self, class_weight):
        """Multiplies the sample weights of the training steps within by the weights of the classes."""
        checks.check_class_weight(class_weight, self.num_classes, self._is_multi_label)
        if class_weight != self._compiled_class_weight:
            self.train_function = None
        self._class_weight = self._compiled_class_weight = class_weight
        try:
            yield
        finally:
            self._class_weight = None

    def _batch_logs(self, logs, return_dict):
        """The logs of a batch as `train_on_batch` and `test_on_batch` return them."""
        names = self.epoch_logs(logs)
        return logs if return_dict else [logs[name] for name in names]

    def _question_teacher(self, logs):
        """Warns once if the teacher was no better than chance in an evaluation, which has counted its images."""
        if not self.questions_teacher or self.teacher is None or "teacher_accuracy" not in logs or self._is_multi_label:
            return
        num_images = int(self._log_means.count("teacher_accuracy"))
        described = describe_chance(float(logs["teacher_accuracy"]), self.num_classes, num_images)
        if described is not None:
            self.questions_teacher = False
            warn_caller(
                f"The teacher is {described}. Likely causes: `keras_deit.Teacher` describes other images than the model "
                "takes (`value_range`, `mean`, `std`, `preprocessing`, `image_size`); the model has the student's classes "
                "in another order; or it was trained too little."
            )

    def _check_batches(self, x, batch_size=None, validation_split=0):
        divisor = self.batch_divisor()
        if divisor == 1:
            return
        size = self.dataset_batch_size(x) if hasattr(x, "element_spec") else None
        sizes = checks.batch_sizes(x, batch_size, validation_split) if size is None else [size]
        checks.check_batches(sizes, divisor)
