"""Speed of the input pipeline beside what a user would take instead, measured in turns in one call."""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from keras_deit.data import Augmentation, ImageFiles, SamplingPlan
from keras_deit.data.augment import pillow_ops, tensorflow_ops
from keras_deit.data.augment.operations import NAMES, NOTHING
from keras_deit.data.pipeline.grain_pipeline import training_stream
from keras_deit.data.pipeline.tf_data_pipeline import training_dataset
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.recipes import get
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.optional import require

PICTURES = 64  # different files
PICTURE_SIZE, PICTURE_BYTES = (500, 375), 110_000  # ImageNet's are typically of this size
NUM_CLASSES = 1000
WARM_UP = 4  # batches
OPERATION_SECONDS = 0.3
ARGUMENTS = {  # of each operation, as large as RandAugment's
    "Rotate": 27.0,
    "Posterize": 1.0,
    "Solarize": 26.0,
    "SolarizeAdd": 99.0,
    "GaussianBlur": 1.5,
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), 1.8),
    **dict.fromkeys(("ShearX", "ShearY"), 0.27),
    **dict.fromkeys(("TranslateX", "TranslateY"), 0.4),
}

DESCRIPTION = """\
Time the whole recipe of augmentation, from JPEGs of ImageNet's typical size to mixed batches, on the same cores: ours by
tf.data and by Grain's worker processes, timm's transform in PyTorch's worker processes, and keras-cv's layers in tf.data,
those that can be imported. Each round runs all of them in turn, each in a process of its own; ratios are taken within a
round. Then the milliseconds of each operation, on one core, beside Pillow's."""


def main(arguments=None):
    """Runs `benchmark data`.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    if options.contestant:
        print(json.dumps(_images_per_second(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options.folder = folder
        write_pictures(pathlib.Path(folder))
        results, left_out = measure(options)
    for line in describe(results, left_out, options):
        print(line)
    if not options.no_operations:
        print("\n".join(["", *_describe_operations(options.image_size)]))
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(results, indent=1) + "\n")
    return 0


def write_pictures(folder):
    """Writes JPEGs of ImageNet's typical size, made of scikit-learn's two photographs."""
    datasets = require("sklearn.datasets", extra="run", purpose="Pictures to measure with")
    pillow = require("PIL.Image", extra="weights", purpose="Pictures to measure with")
    photographs = [pillow.fromarray(image) for image in datasets.load_sample_images().images]
    for place in range(PICTURES):
        photograph = photographs[place % len(photographs)]
        width, height = photograph.size
        box = (place, place, width - place, height - place)
        picture = photograph.resize(PICTURE_SIZE, pillow.Resampling.BICUBIC, box=box)
        for quality in range(90, 100):
            picture.save(path := folder / f"{place:03d}.jpg", quality=quality)
            if path.stat().st_size >= PICTURE_BYTES:
                break


def measure(options):
    """Runs all that can be imported, in turns.

    Returns:
        Dictionary from names to lists of images a second, one a round; and a dictionary from the names of those left out to
        the reason.
    """
    needed = {
        "decoding alone": "tensorflow",
        "tf.data": "tensorflow",
        "grain": "grain",
        "timm": "timm",
        "keras-cv": "keras_cv",
    }
    left_out = {
        name: f"{module} is not installed" for name, module in needed.items() if not importlib.util.find_spec(module)
    }
    results = {name: [] for name in needed if name not in left_out}
    for _ in range(options.rounds):
        for name in list(results):
            command = [
                sys.executable,
                "-m",
                "keras_deit.benchmark.data",
                "--contestant",
                name,
                "--folder",
                options.folder,
            ]
            for option in ("image_size", "batch_size", "batches", "workers"):
                command += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                left_out[name] = run.stderr.strip().splitlines()[-1][:200]
                del results[name]
            else:
                results[name].append(json.loads(run.stdout.strip().splitlines()[-1]))
    return results, left_out


def describe(results, left_out, options):
    """The table, as lines."""
    yield (
        f"{options.image_size} pixels, batches of {options.batch_size}, {options.workers} workers, JPEGs of "
        f"{PICTURE_SIZE[0]}x{PICTURE_SIZE[1]}; medians of {options.rounds} rounds"
    )
    yield f"{'':<18}{'images/s':>10}{'ms a core':>11}{'ours is faster by':>20}"
    for name, speeds in results.items():
        speed = statistics.median(speeds)
        ratio = ""
        if "tf.data" in results and name not in ("tf.data", "decoding alone"):
            ratios = [ours / other for ours, other in zip(results["tf.data"], speeds, strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        yield f"{name:<18}{speed:>10.0f}{1e3 * options.workers / speed:>11.2f}{ratio:>20}"
    for name, reason in left_out.items():
        yield f"{name}: left out, {reason}"


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-deit benchmark data", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=30, help="that are timed, after a few to warm up; default: 30")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="threads or processes; default: cores")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-operations", action="store_true", help="leave out the table of operations")
    parser.add_argument("--report", metavar="FILE.json", help="write the images a second of every round there")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser


def _images_per_second(options):
    batches = iter(_CONTESTANTS[options.contestant](options))
    for _ in range(WARM_UP):
        next(batches)
    began = time.perf_counter()
    for _ in range(options.batches):
        next(batches)
    return options.batches * options.batch_size / (time.perf_counter() - began)


def _files(options):
    """Every picture many times over, as an epoch without an end."""
    paths = sorted(str(path) for path in pathlib.Path(options.folder).glob("*.jpg"))
    number = 2 * (WARM_UP + options.batches) * options.batch_size
    places = np.arange(number)
    paths = tuple(paths[place % len(paths)] for place in places)
    return ImageFiles("pictures", paths, places % NUM_CLASSES, tuple(map(str, range(NUM_CLASSES))))


def _plan(options, data):
    return SamplingPlan(len(data), options.batch_size, (options.image_size,) * 2, Augmentation.of(get("deit")))


def _by_tf_data(options):
    data = _files(options)
    return training_dataset(
        data, _plan(options, data), IMAGENET_MEAN, IMAGENET_STD, crop_ratio=0.875, num_workers=options.workers
    )


def _by_grain(options):
    from keras_deit.data import Batches

    data = _files(options)
    size, augmentation = (options.image_size,) * 2, Augmentation.of(get("deit"))
    batches = Batches(data, options.batch_size, training=True, image_size=size, augmentation=augmentation)
    return training_stream(batches, num_workers=options.workers)


def _decoding(options):
    import tensorflow as tf

    def cropped(path):
        content = tf.io.read_file(path)
        shape = tf.io.extract_jpeg_shape(content)
        box = [shape[0] // 7, shape[1] // 7, shape[0] * 5 // 7, shape[1] * 5 // 7]  # about half of the area
        return tf.image.decode_and_crop_jpeg(content, box, channels=3)[0, 0]

    dataset = tf.data.Dataset.from_tensor_slices(list(_files(options).paths))
    return dataset.map(cropped, num_parallel_calls=options.workers).batch(options.batch_size)


def _by_timm(options):
    import timm.data
    import timm.data.auto_augment as operations
    import torch
    from PIL import Image

    posterize = operations.posterize  # recent versions of Pillow refuse to keep no bit
    operations.NAME_TO_OP["PosterizeIncreasing"] = lambda image, bits, **other: posterize(image, max(1, bits), **other)
    transform = timm.data.create_transform(
        options.image_size,
        is_training=True,
        color_jitter=0.3,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        re_prob=0.25,
        re_mode="pixel",
        re_count=1,
    )
    files = _files(options)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return transform(Image.open(files.paths[index]).convert("RGB")), files.labels[index]

    torch.set_num_threads(1)
    mixup = timm.data.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=NUM_CLASSES)
    loader = torch.utils.data.DataLoader(Pictures(), options.batch_size, num_workers=options.workers)
    return (mixup(images, labels) for images, labels in loader)


def _by_keras_cv(options):
    import keras_cv.layers as layers
    import tensorflow as tf

    files, size = _files(options), options.image_size
    crop = layers.RandomCropAndResize((size, size), crop_area_factor=(0.08, 1.0), aspect_ratio_factor=(3 / 4, 4 / 3))
    operations = layers.RandAugment(value_range=(0, 255), augmentations_per_image=2, magnitude=0.9, rate=0.5)
    mix = layers.RandomChoice([layers.MixUp(alpha=0.8), layers.CutMix(alpha=1.0)], batchwise=True)
    steps = [layers.RandomFlip("horizontal"), operations, mix]

    def read(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return {"images": crop(tf.cast(image, tf.float32)), "labels": tf.one_hot(label, NUM_CLASSES)}

    def augment(batch):
        for step in steps:
            batch = step(batch, training=True)
        mean, std = (tf.constant(values, tf.float32) * 255 for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (batch["images"] - mean) / std, batch["labels"]

    dataset = tf.data.Dataset.from_tensor_slices((list(files.paths), files.labels))
    dataset = dataset.map(read, num_parallel_calls=options.workers).batch(options.batch_size)
    return dataset.map(augment, num_parallel_calls=options.workers).prefetch(2)


_CONTESTANTS = {
    "decoding alone": _decoding,
    "tf.data": _by_tf_data,
    "grain": _by_grain,
    "timm": _by_timm,
    "keras-cv": _by_keras_cv,
}


def _describe_operations(image_size):
    """Milliseconds of every operation on a photograph: within tf.data, compiled by XLA, and by Pillow."""
    datasets = require("sklearn.datasets", extra="run", purpose="Pictures to measure with")
    pillow = require("PIL.Image", extra="weights", purpose="Pictures to measure with")
    picture = pillow.fromarray(datasets.load_sample_images().images[0]).resize((image_size, image_size))
    pixels = np.asarray(picture)
    handing_over = _within_tf_data(pixels, NOTHING, 0.0)
    yield f"{'milliseconds':<18}{'tf.data':>10}{'Pillow':>10}"
    for number, name in enumerate(NAMES):
        argument = ARGUMENTS.get(name, 0.0)
        ours = _within_tf_data(pixels, number, argument) - handing_over
        other = _milliseconds(pillow_ops.apply, picture, [number], [argument])
        yield f"{name:<18}{max(ours, 0.0):>10.2f}{other:>10.2f}"


def _within_tf_data(pixels, number, argument):
    """Milliseconds of an operation in a dataset that makes one image after the other."""
    import tensorflow as tf

    pixels = tf.constant(pixels)
    chosen = tf.data.Dataset.from_tensors((tf.constant([number]), tf.constant([argument]))).repeat()
    apply = tf.autograph.experimental.do_not_convert(lambda *chosen: tensorflow_ops.apply(pixels, *chosen))
    options = tf.data.Options()
    options.autotune.enabled = False  # which would make images ahead, on all cores
    return _milliseconds(next, iter(chosen.map(apply).with_options(options)))


def _milliseconds(function, *arguments):
    function(*arguments)
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < OPERATION_SECONDS:
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
