"""One measurement of a benchmark in a process of its own: `python -m keras_deit.benchmark models|pipeline REQUEST ...`.

`keras_deit.benchmark.models` and `keras_deit.benchmark.data` start it.
"""

import json
import pathlib
import sys

from keras_deit.benchmark import data, models
from keras_deit.benchmark.setting import PipelineSetting, Setting


def main(task, request, *paths):
    """Runs one measurement.

    Args:
        task: `"models"` (prints the tables and writes the results) or `"pipeline"` (prints the images per second).
        request: Dictionary of arguments as JSON.
        *paths: The file of results to write, for `"models"`.
    """
    request = json.loads(request)
    if task == "models":
        settings = [Setting(**setting) for setting in request["settings"]]
        results = models.run(settings, request["rounds"], request["peers"])
        pathlib.Path(*paths).write_text(json.dumps(results), encoding="utf-8")
    else:
        print(data.images_per_second(request["name"], PipelineSetting(**request["setting"]), request["folder"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
