"""Times a variant beside its peers. See `--help`."""

import sys

from keras_deit.benchmark.models import main

if __name__ == "__main__":
    sys.exit(main())
