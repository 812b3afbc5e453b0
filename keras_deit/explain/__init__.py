"""Pictures and reports about a run."""

from keras_deit.explain.curves import draw_curves

__all__ = ["draw_curves"]
