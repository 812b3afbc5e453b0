"""Distillation steps on PyTorch: the teacher predicts without a graph."""


class DistillationSteps:
    """Mixin for a `keras.Model` on PyTorch that calls `self.add_teacher_outputs` before Keras's own step."""

    def train_step(self, data):
        """One training step; the teacher predicts without a graph."""
        import torch

        with torch.no_grad():
            data = self.add_teacher_outputs(data, training=True)
        return super().train_step(data)

    def test_step(self, data):
        """One evaluation step."""
        return super().test_step(self.add_teacher_outputs(data, training=False))

    @staticmethod
    def run_inference(function, images, variables):
        """Returns `function(images)`, computed without a graph; `variables` are not needed on this backend."""
        import torch

        with torch.no_grad():
            return function(images)

    def num_replicas(self):
        """Always 1: Keras trains on one device with PyTorch."""
        return 1

    def batch_divisor(self):
        """Always 1: any batch size is possible."""
        return 1

    @staticmethod
    def dataset_batch_size(dataset):
        """Returns None: the batch size does not matter."""

    def pad_batches(self, data):
        """Returns the data unchanged."""
        return data

    def check_compile_options(self, steps_per_execution=1, **_):
        """Raises a ValueError for an option of `compile` that Keras does not support on PyTorch."""
        if steps_per_execution != 1:
            raise ValueError(
                "Keras runs one step at a time on PyTorch: `steps_per_execution` must be 1. "
                f"Received: steps_per_execution={steps_per_execution}"
            )
