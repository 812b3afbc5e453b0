"""`keras-deit explain`: draws which patches a DeiT attends to."""

import collections
import io
import itertools

import keras
import numpy as np

from keras_deit.cli.common import reporting
from keras_deit.cli.explain_dataset import explain_dataset, files_of_dataset
from keras_deit.cli.image_files import (
    ImageReader,
    as_probabilities,
    class_names_of,
    find_image_files,
    most_probable,
)
from keras_deit.cli.model_options import given_preparation, load_model
from keras_deit.evaluation.heads import FUSED, Heads, check_finite
from keras_deit.explain import draw_attention
from keras_deit.explain.attention import TOKENS, raw_maps, rollout_maps
from keras_deit.explain.forward import backbone_of
from keras_deit.explain.gradient_rollout import gradient_maps
from keras_deit.export.exported_model import is_exported
from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require
from keras_deit.runtime.progress_bar import progress_bar

LONGEST = 28  # characters of a class name in a picture
OF_METHODS = {"rollout": ("discard_ratio",), "raw": ("block", "head")}  # options that only one method has


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 2 for bad input, such as an image that cannot be read; 130 after Ctrl-C.
    """
    _check_options(options)
    require("matplotlib.figure", extra="run", purpose="Drawing attention maps")  # before anything is downloaded
    require("PIL.Image", extra="weights", purpose="Reading an image file")
    paths = list(find_image_files(options.images))
    pictures = _pictures(options, paths)
    _check_free([*pictures, *_arrays(options, pictures), *files_of_dataset(options)], options.overwrite)
    model = load_model(options)
    backbone_of(model)  # raises for a model without attention
    if options.dataset is not None:
        explain_dataset(options, model)
    if paths:
        _explain_images(options, model, paths, pictures)


def _check_options(options):
    if not options.images and options.dataset is None:
        raise ValueError("There is nothing to explain: pass image files, or --dataset.")
    if options.top < 1:
        raise ValueError(f"--top must be positive. Received: {options.top}")
    if is_exported(options.weights):
        raise ValueError(
            f"An exported model does not return its attention. Received: --weights {options.weights}. Pass the weights that "
            "it was exported from, such as a run's directory."
        )
    for method, names in OF_METHODS.items():
        given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]
        if given and method != options.method:
            raise ValueError(f"Only --method {method} takes {' and '.join(given)}. Received: --method {options.method}")


def _pictures(options, paths):
    """The path of the picture of each image: `--output` if it is a PNG file, otherwise files in this directory."""
    output = user_path(options.output)
    if output.suffix.lower() == ".png" and not output.is_dir():
        if len(paths) != 1 or options.dataset is not None:
            raise ValueError(
                f"--output may be a PNG file for one image alone. Received: --output {options.output} for {len(paths)} "
                f"images{' and --dataset' if options.dataset is not None else ''}. Pass a directory."
            )
        if output.resolve() == paths[0].resolve():
            raise ValueError(f"--output must be another file than the image. Received: --output {options.output}")
        return [output]
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output must be a directory, or a .png file. Received: the file {str(output)!r}")
    return [output / f"{stem}-attention.png" for stem in distinct_stems([path.stem for path in paths])]


def distinct_stems(stems):
    """Numbers equal names of images.

    Args:
        stems: List of names of files without extension.

    Returns:
        List of distinct names.

    Example:

    >>> distinct_stems(["cat", "cat", "cat-2", "dog"])
    ['cat', 'cat-2', 'cat-2-2', 'dog']
    """
    taken, found = set(), []
    numbers = collections.defaultdict(lambda: itertools.count(2))  # the next number of each stem
    for stem in stems:
        name = stem
        while name in taken:
            name = f"{stem}-{next(numbers[stem])}"
        taken.add(name)
        found.append(name)
    return found


def _arrays(options, pictures):
    return [picture.with_suffix(".npz") for picture in pictures] if options.arrays else []


def _check_free(files, overwrite):
    existing = [file for file in files if file.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} other files exist" if len(existing) > 1 else " exists"
        raise ValueError(f"{str(existing[0])!r}{others} already: choose another --output, or pass --overwrite.")


def _explain_images(options, model, paths, pictures):
    names = class_names_of(model, options.class_names, "--class-names")
    overrides = given_preparation(options) | ({} if options.bit_depth is None else {"bit_depth": options.bit_depth})
    processor = model.image_processor(options.image_size, **overrides)
    reader, waiting = ImageReader("explain", paths, processor), collections.deque()

    def batches():
        for batch in reader.batches():
            waiting.extend(batch)
            yield _stacked(batch)

    with progress_bar(len(paths), "attention", "images", shown=len(paths) > 1) as bar:
        for maps in _maps(options, model, batches()):
            examples = [waiting.popleft() for _ in maps[TOKENS[0]]]
            images = _stacked(examples)
            titles = _titles(model, images, names, options.top)
            for index, (position, _) in enumerate(examples):
                of_image = {token: of_all[index] for token, of_all in maps.items()}
                _draw(pictures[position], images[index], of_image, paths[position].name, titles[index], processor)
                if options.arrays:
                    _write_arrays(pictures[position].with_suffix(".npz"), of_image)
                print(f"{paths[position]}: {pictures[position]}")
            bar.update(len(examples))
    reader.check()


def _stacked(examples):
    return np.stack([keras.ops.convert_to_numpy(image) for _, image in examples])


def _maps(options, model, images):
    """Yields for each batch a dictionary from the tokens of the model to their maps."""
    tokens = TOKENS[: model.num_prefix_tokens]
    if options.method == "gradient":
        return gradient_maps(model, images, tokens)
    if options.method == "raw":
        return raw_maps(model, images, tokens, options.block, options.head)
    return rollout_maps(model, images, tokens, options.discard_ratio or 0.0)


def _titles(model, images, names, top):
    """For each image a dictionary from the heads to the text of their predictions, the `top` ones of the fused heads."""
    outputs = {FUSED: model.predict_on_batch(images)} if model.multi_label else Heads(model).predict(images)
    probabilities = {head: as_probabilities(model, values) for head, values in outputs.items()}
    check_finite(probabilities[FUSED])
    return [
        {
            head: _lines(most_probable(rows[index], names, top if head == FUSED else 1))
            for head, rows in probabilities.items()
        }
        for index in range(len(images))
    ]


def _lines(pairs):
    return "\n".join(f"{_shortened(name)} {probability:.1%}" for probability, name in pairs)


def _shortened(name):
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _draw(path, image, maps, name, titles, processor):
    """Draws one image; `titles` has the texts for the image and for each head."""
    columns = {}
    for token, weights in maps.items():
        of_head = f"\nits head: {titles[token]}" if token in titles else ""
        columns[f"{token} token{of_head}"] = weights[None]
    caption = f"{_shortened(name)}\n{titles[FUSED]}"
    draw_attention(image[None], columns, path, processor.mean, processor.std, [caption])


def _write_arrays(path, maps):
    content = io.BytesIO()
    np.savez(content, **maps)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
