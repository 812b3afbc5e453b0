"""The whole study: choice of the settings, comparison, report."""

import dataclasses
import hashlib
import pathlib
import shlex

import keras
import numpy as np

from keras_deit.data import load
from keras_deit.recipes.small_data import SMALL_DATA
from keras_deit.reproduction import design as designs
from keras_deit.reproduction.images import load_split, training_pool
from keras_deit.reproduction.plot import draw_results
from keras_deit.reproduction.progress import Progress
from keras_deit.reproduction.report import csv_text, markdown, statement
from keras_deit.reproduction.results import Results
from keras_deit.reproduction.search import choose_settings
from keras_deit.reproduction.spec import AUGMENTATIONS, Setting
from keras_deit.reproduction.store import Store
from keras_deit.reproduction.training import BATCH_SIZE
from keras_deit.reproduction.workers import Workers, default_number
from keras_deit.runtime.files import user_path, write_whole
from keras_deit.runtime.printing import format_duration
from keras_deit.training.run_directory import versions


def reproduce(datasets=("digits",), quick=False, output_dir=None, report_dir=None, num_workers=None):
    """Measures the findings of the DeiT paper on small datasets, and writes a report of each dataset.

    A study that was interrupted continues after the trainings that are finished.

    Args:
        datasets: Names or paths that `keras_deit.data.load` takes.
        quick: Whether to use the small `design.QUICK` instead of the whole `design.FULL`.
        output_dir: Directory of the results; None means `runs/reproduce`, or `runs/reproduce_quick`.
        report_dir: Directory of the reports, for each dataset a `.md`, a `.csv` and a `.png` file; None means `output_dir`.
        num_workers: Number of worker processes; None means one for each core, at most 4.

    Returns:
        List of the paths of the Markdown reports.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the directory has the results of other settings, or a dataset cannot be used.
        WorkerError: If a training fails.
    """
    _check_names(datasets)
    directories = {"--output-dir": output_dir, "--report-dir": report_dir}
    output_dir = user_path(output_dir or ("runs/reproduce_quick" if quick else "runs/reproduce"))
    studies = [_Study.of(dataset, designs.QUICK if quick else designs.FULL, output_dir) for dataset in datasets]
    num_workers = num_workers or default_number()
    progress = Progress(num_workers, {study.dataset: study.count_left() for study in studies})
    with Workers(num_workers) as workers:
        return [
            study.run(
                workers,
                progress,
                user_path(report_dir or output_dir),
                quick,
                command=_command(study.dataset, quick, directories),
            )
            for study in studies
        ]


@dataclasses.dataclass(frozen=True)
class _Study:
    """The study on one dataset."""

    dataset: str
    design: designs.Design
    store: Store

    @classmethod
    def of(cls, dataset, design, output_dir):
        """Loads the dataset, and claims the directory of its results."""
        design = _suitable(design, training_pool(dataset))
        _check_test_labels(load_split(dataset, "test"))
        store = Store(output_dir / designs.dataset_name(dataset))
        store.claim({**dataclasses.asdict(design), **_fixed_settings(), "images": _digests(dataset), **versions()})
        return cls(dataset, design, store)

    def run(self, workers, progress, report_dir, quick, command):
        """Trains what is not finished, and writes the report; returns the path of its Markdown file."""

        def run(trainings):
            workers.run(trainings, self.store, progress)

        base, convnet, candidates = choose_settings(self.design, self.dataset, run, self.store)
        trainings = designs.comparison(self.design, self.dataset, base, convnet)
        progress.expect(self.dataset, self.store.count_unfinished(trainings))
        run(trainings)
        results = Results(self.design, base, self.store.finished())
        print(f"\n{designs.dataset_name(self.dataset)}:\n{statement(results)}\n", flush=True)
        facts = {"Command": f"`{command}`", **self._facts(results, convnet)}
        return self._write(results, candidates, facts, report_dir, quick)

    def count_left(self):
        """Counts the trainings that are not finished; before the base is chosen, roughly."""
        candidates = [
            *designs.teacher_candidates(self.design, self.dataset),
            *(one for pair in designs.student_candidates(self.design, self.dataset, None) for one in pair),
        ]
        compared = designs.comparison(self.design, self.dataset, Setting(), Setting())
        return self.store.count_unfinished([*candidates, *compared])

    def _write(self, results, candidates, facts, report_dir, quick):
        name = f"{designs.dataset_name(self.dataset)}{'_quick' if quick else ''}"
        title = f"{designs.dataset_name(self.dataset)}{', quick version' if quick else ''}"
        path = report_dir / f"{name}.md"
        write_whole(report_dir / f"{name}.csv", csv_text(results))
        draw_results(results, title, report_dir / f"{name}.png")
        write_whole(path, markdown(results, title, facts, candidates))
        return path

    def _facts(self, results, convnet):
        """What the report says about the measurement."""
        finished, base = self.store.finished(), results.base
        core_seconds = sum(figures["seconds"] for _, figures in finished)
        dates = dict.fromkeys(f"{date:%d %B %Y}" for date in self.store.dates())
        software = versions()  # of every training: the directory is refused with others
        return {
            "Date": " to ".join(dates),
            "Time": f"{len(finished)} trainings, {format_duration(core_seconds)} on one core",
            "Diverged": f"{sum(figures['diverged'] for _, figures in finished):.0f} trainings",
            "Software": ", ".join(f"{name} {version}" for name, version in software.items()),
            "Seeds": str(len({training.seed for training, _ in results.trainings})),
            "Each training": f"{self.design.steps} steps of {BATCH_SIZE} images, or of all images if there are fewer",
            "Base": f"{base.num_layers} blocks of width {base.hidden_dim}, learning rate {base.learning_rate:g}, "
            f"augmentation {base.augmentation!r}, distillation token, hard distillation from the convnet",
            "Convnet": f"learning rate {convnet.learning_rate:g}, augmentation {convnet.augmentation!r}",
        }


def _command(dataset, quick, directories):
    """The command of one dataset with the paths as they were given; only the name of an absolute path."""
    given = {"--dataset": dataset, **{option: path for option, path in directories.items() if path is not None}}
    options = [word for option, value in given.items() for word in (option, _without_folders_of_the_machine(value))]
    words = ["python", "scripts/reproduce.py", *options, *(["--quick"] if quick else [])]
    return f"KERAS_BACKEND={keras.backend.backend()} {shlex.join(words)}"


def _without_folders_of_the_machine(path):
    path = pathlib.Path(path)
    return path.name if path.is_absolute() else path.as_posix()


def _fixed_settings():
    """The settings that all studies share in this version of the package."""
    augmentations = {name: dataclasses.asdict(augmentation) for name, augmentation in AUGMENTATIONS.items()}
    return {"augmentation_settings": augmentations, "recipe": dataclasses.asdict(SMALL_DATA)}


def _digests(dataset):
    """The hashes of the images and of the labels, by split."""
    return {
        split: {
            "images": load(dataset, split).content_digest(),
            "labels": hashlib.sha256(load_split(dataset, split).labels.tobytes()).hexdigest(),
        }
        for split in ("train", "test")
    }


def _check_names(datasets):
    names = [designs.dataset_name(dataset) for dataset in datasets]
    if len(set(names)) < len(names):
        raise ValueError(f"The results of two datasets would have the same name. Received: datasets={list(datasets)}")


def _check_test_labels(test):
    if not np.any(test.labels >= 0):
        raise ValueError(
            f"The study needs a test split with labels. Received: {test.name!r}, whose {len(test)} test images have none"
        )


def _suitable(design, pool):
    """The design without numbers of labels that the smallest class does not have."""
    smallest = int(np.bincount(pool.labels[pool.labels >= 0], minlength=pool.num_classes).min())
    labels = tuple(number for number in design.labels if number is None or number < smallest)
    if design.main_labels not in labels:
        raise ValueError(
            f"The study needs more than {design.main_labels} training images of each class, without those of the validation "
            f"split. Received: {pool.name!r}, whose smallest class has {smallest}"
        )
    return dataclasses.replace(design, labels=labels)
