"""Distils a DeiT from a teacher: the same as `keras-deit train`. See `--help`."""

import sys

from keras_deit.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
