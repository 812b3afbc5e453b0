"""Images and charts that show what a run trains on and what it learned."""

from keras_deit.explain.confusion import draw_confusion
from keras_deit.explain.curves import draw_curves
from keras_deit.explain.grid import draw_grid

__all__ = ["draw_confusion", "draw_curves", "draw_grid"]
