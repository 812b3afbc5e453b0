"""Images, charts and figures that show what a run trains on, what it learned, and what a model attends to."""

from keras_deit.explain.attention import attention_rollout, raw_attention
from keras_deit.explain.attention_distance import attention_distance
from keras_deit.explain.classifiers import Head, student_and_teacher
from keras_deit.explain.confusion import draw_confusion
from keras_deit.explain.curves import draw_curves
from keras_deit.explain.depth import draw_attention_distance, draw_token_similarity
from keras_deit.explain.disagreement import disagreement
from keras_deit.explain.gradient_rollout import gradient_rollout
from keras_deit.explain.grid import draw_grid
from keras_deit.explain.overlay import draw_attention
from keras_deit.explain.rates import draw_disagreement
from keras_deit.explain.token_similarity import token_similarity

__all__ = [
    "Head",
    "attention_distance",
    "attention_rollout",
    "disagreement",
    "draw_attention",
    "draw_attention_distance",
    "draw_confusion",
    "draw_curves",
    "draw_disagreement",
    "draw_grid",
    "draw_token_similarity",
    "gradient_rollout",
    "raw_attention",
    "student_and_teacher",
    "token_similarity",
]
