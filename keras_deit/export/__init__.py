"""Trained models as files for other runtimes, and the check that they answer as the model does."""

from keras_deit.export.litert import to_litert
from keras_deit.export.report import check_formats, compare, export
from keras_deit.export.saved_model import to_saved_model

__all__ = ["check_formats", "compare", "export", "to_litert", "to_saved_model"]
