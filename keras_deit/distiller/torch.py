"""What distilling needs of PyTorch: the teacher outside of the graph."""


class DistillationSteps:
    """Mixin for a `keras.Model` on PyTorch that calls `self.with_teacher` before the step of Keras."""

    def train_step(self, data):
        """One step of training; the teacher answers without a graph."""
        import torch

        with torch.no_grad():
            data = self.with_teacher(data, training=True)
        return super().train_step(data)

    def test_step(self, data):
        """One step of evaluation."""
        return super().test_step(self.with_teacher(data, training=False))

    @staticmethod
    def run_once(function, images, variables):
        """Runs a function of images once, without a graph."""
        import torch

        with torch.no_grad():
            return function(images)

    def num_replicas(self):
        """Always 1: Keras trains on one device with PyTorch."""
        return 1

    def batch_divisor(self):
        """Always 1."""
        return 1

    @staticmethod
    def batch_size_of(dataset):
        """Empty: any size will do."""
        return ()

    def filled_up(self, data):
        """The data as they are."""
        return data

    def check_compile(self, steps_per_execution=1, **_):
        """Raises where Keras would fail later."""
        if steps_per_execution != 1:
            raise ValueError(
                "Keras runs one step at a time on PyTorch: `steps_per_execution` must be 1. "
                f"Received: steps_per_execution={steps_per_execution}"
            )
