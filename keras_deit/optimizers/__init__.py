"""Optimisers of the recipes, where Keras's own differ from those of the published runs.

All four clip by `global_clipnorm` over the whole batch. Keras's own optimisers, on several replicas of TensorFlow, clip the
gradient of each replica's share before they sum the shares. On PyTorch all four update all variables together, see
`keras_deit.optimizers.torch_lists`.
"""

from keras_deit.optimizers.adamw import AdamW
from keras_deit.optimizers.lamb import LAMB
from keras_deit.optimizers.layerwise_adamw import LayerwiseAdamW
from keras_deit.optimizers.sgd import SGD

__all__ = ["LAMB", "SGD", "AdamW", "LayerwiseAdamW"]
