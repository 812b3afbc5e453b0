"""Encoder blocks that merge tokens."""

import json

import numpy as np
from keras import ops

from keras_deit.layers import EncoderBlock
from keras_deit.layers.merging_encoder import MergingEncoder
from tests.goldens.weights import fill, noise


def encoder_of(**options):
    blocks = [EncoderBlock(2, 16, name=f"block_{index}", **options) for index in range(3)]
    return MergingEncoder(blocks, num_merged=4, num_prefix_tokens=2, name="encoder")


def test_each_block_leaves_fewer_tokens_and_at_least_half_of_the_patches():
    encoder = encoder_of()
    assert encoder(noise("tokens", (2, 16, 8))).shape == (2, 5, 8)  # 16, 12, 8 and then (8 - 2) // 2 fewer


def test_the_config_holds_the_blocks():
    encoder, tokens = encoder_of(layer_scale_init=0.5), noise("tokens", (2, 16, 8))
    encoder(tokens)
    fill(encoder)
    again = MergingEncoder.from_config(json.loads(json.dumps(encoder.get_config())))
    again.build((None, 16, 8))
    again.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(*(ops.convert_to_numpy(layer(tokens)) for layer in (encoder, again)))


def test_branches_are_dropped_in_training_alone():
    encoder, tokens = encoder_of(drop_path_rate=0.9), noise("tokens", (8, 16, 8))
    outputs = [ops.convert_to_numpy(encoder(tokens, training=training)) for training in (False, False, True)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[2] - outputs[0]).max() > 1e-3


def test_sizes_stay_exact_in_half_precision():
    class Sizes(EncoderBlock):
        def call(self, tokens, token_sizes=None, **options):
            received.append(token_sizes)
            return super().call(tokens, token_sizes=token_sizes, **options)

    received = []
    blocks = [Sizes(2, 16, dtype="mixed_bfloat16") for _ in range(2)]
    MergingEncoder(blocks, num_merged=1000, num_prefix_tokens=1, dtype="mixed_bfloat16")(
        np.ones((1, 602, 8), "float32")
    )
    sums = [int(ops.sum(sizes)) for sizes in received]  # equal tokens: one of them becomes larger than 256
    assert sums == [602] * len(blocks)
