"""One measurement in a process of its own: `python -m keras_deit.benchmark TASK REQUEST ...`.

The modules `models`, `memory`, `startup` and `data` of this package start it.
"""

import dataclasses
import json
import pathlib
import sys

from keras_deit.benchmark import data, memory, models, startup
from keras_deit.benchmark.setting import PipelineSetting, Setting


def main(task, request, *paths):
    """Runs one measurement.

    Args:
        task: `"models"` (prints the tables and writes the results), `"memory"` (prints bytes), `"first_step"` (prints the
            loss) or `"pipeline"` (prints the images per second).
        request: Dictionary of arguments as JSON.
        *paths: The file of results to write, for `"models"`.
    """
    request = json.loads(request)
    if task == "models":
        settings = [Setting(**setting) for setting in request["settings"]]
        results = models.run(settings, models.Comparison(**request["comparison"]))
        values = [dataclasses.asdict(result) for result in results]
        pathlib.Path(*paths).write_text(json.dumps(values), encoding="utf-8")
    elif task == "memory":
        print(memory.peak_of(request["name"], Setting(**request["setting"])))
    elif task == "first_step":
        print(startup.first_step(Setting(**request)))
    else:
        print(data.images_per_second(request["name"], PipelineSetting(**request["setting"]), request["folder"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
