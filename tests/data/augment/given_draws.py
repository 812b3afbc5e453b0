"""Draws of a sample that are given, and the normalisation of the samples."""

import numpy as np

MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)
SIZE = (6, 8)
# The whole image in every attempt; see `crops.crop_attempts`.
WHOLE = np.concatenate([np.ones(10), np.full(10, 8 / 6), np.zeros(2)])
# The rectangle of 3×4 pixels at (2, 2): a quarter of the area, the position in fractions of the rows and columns left.
QUARTER = np.concatenate([np.full(10, 0.25), np.full(10, 8 / 6), [0.5, 0.4]])


def draws(crop=WHOLE, flip=False, erased=(0, 0, 0, 0), offset=0, **operations):
    return {"crop": crop, "flip": flip, "erased": np.array(erased, "int32"), "noise": offset, **operations}


def normalized(pixels):
    return (pixels / 255 - np.array(MEAN)) / np.array(STD)
