"""Measures the findings of the DeiT paper with small models on small datasets. See `--help` and docs/reproducing.md."""

import sys

from keras_deit.cli.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
