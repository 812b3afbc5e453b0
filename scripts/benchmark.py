"""Times a model or the input pipeline: the same as `keras-deit benchmark`. See `--help`."""

import sys

from keras_deit.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
