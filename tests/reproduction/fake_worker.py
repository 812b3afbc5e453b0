"""A worker that writes figures without training: `python fake_worker.py LOG [NAME]`. It dies at the training NAME.

It imports nothing of the package, so that it starts at once.
"""

import json
import os
import pathlib
import sys


def main(log, fatal=None):
    """Answers as `python -m keras_deit.reproduction` does; appends the names of the trainings to the file `log`."""
    for line in sys.stdin:
        request = json.loads(line)
        training = request["training"]
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{training['name']}\n")
        if training["name"] == fatal:
            os._exit(9)
        path = pathlib.Path(request["directory"], "trainings", training["name"].replace(", ", "-").replace(" ", "_"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if training["condition"] in ("convnet", "transformer"):
            model = path.parents[1] / "teachers" / f"{path.name}.keras"
            model.parent.mkdir(exist_ok=True)
            model.touch()
        figures = {"accuracy": 0.5, "seconds": 1.0}
        path.with_name(f"{path.name}.json").write_text(json.dumps({**training, "figures": figures}), encoding="utf-8")
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
