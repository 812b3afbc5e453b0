"""The figures of `keras-deit explain` on a dataset: disagreement, similarity of the tokens, and attention distance."""

import csv
import io

from keras_deit.choices import EXPLANATION_FILES
from keras_deit.cli.model_options import data_settings, given_preparation
from keras_deit.data import InputPipeline
from keras_deit.evaluation.prepared_images import evaluation_batches, preparation_of
from keras_deit.explain import (
    attention_distance,
    disagreement,
    draw_attention_distance,
    draw_disagreement,
    draw_token_similarity,
    student_and_teacher,
    token_similarity,
)
from keras_deit.explain.forward import backbone_of
from keras_deit.runtime.files import user_path, write_json, write_whole
from keras_deit.runtime.progress_bar import progress_bar
from keras_deit.training.run_directory import versions
from keras_deit.training.teachers.load import load_teacher
from keras_deit.training.usable_images import explain_unreadable_images, load_images


def files_of_dataset(options):
    """Returns the paths of the files that `explain_dataset` may write."""
    return [] if options.dataset is None else [user_path(options.output) / name for name in EXPLANATION_FILES]


def explain_dataset(options, model):
    """Computes the figures of a model on images of a dataset, and writes them as charts, a table and JSON.

    Args:
        options: Namespace of the parser of `keras-deit explain`.
        model: `DeiTClassifier`.

    Raises:
        ValueError: If the options do not fit together, or an image cannot be read.
    """
    if options.max_images < 1:
        raise ValueError(f"--max-images must be positive. Received: {options.max_images}")
    settings = data_settings(options, model, teacher=True)
    teacher = None if settings.teacher is None else load_teacher(settings, model.num_classes)
    data = load_images(settings, options.split).data.evenly_spaced(options.max_images)
    preparation = preparation_of(model, options.image_size, given_preparation(options))
    inputs = InputPipeline(data, pipeline=settings.pipeline, num_workers=settings.num_workers, **preparation)
    facts = {"weights": options.weights, "teacher": settings.teacher, "dataset": data.name, "split": options.split}
    with explain_unreadable_images(lambda: [(data, range(len(data)))]):
        figures = _compute(model, teacher, inputs)
    _write(user_path(options.output), figures)
    write_json(
        user_path(options.output) / "explanation.json",
        {**facts, "images": len(data), **figures, "versions": versions()},
    )
    print("\n".join(_describe(figures, len(data), data.name)))
    print(f"Written to {user_path(options.output)}.\n")


def _compute(model, teacher, inputs):
    """The figures that the model has, in lists: a model with one token and no teacher has only attention distances."""
    figures = {}
    models = student_and_teacher(model, teacher)
    if len(models) > 1 and model.multi_label:
        print("The disagreement is left out: the model may give an image several classes (`multi_label`).")
    elif len(models) > 1:
        normalisation = {"image_mean": inputs.mean, "image_std": inputs.std}
        names, rates = disagreement(models, _batches(inputs, "disagreement"), **normalisation)
        figures["disagreement"] = {"names": list(names), "rates": rates.tolist()}
    if backbone_of(model).distilled:
        figures["token_similarity"] = token_similarity(model, _batches(inputs, "token similarity")).tolist()
    figures["attention_distance"] = attention_distance(model, _batches(inputs, "attention distance")).tolist()
    return figures


def _batches(inputs, title):
    with progress_bar(len(inputs.data), title, "images") as bar:
        for images, _ in evaluation_batches(inputs):
            yield images
            bar.update(len(images))


def _write(directory, figures):
    if "disagreement" in figures:
        names, rates = figures["disagreement"].values()
        draw_disagreement(names, rates, directory / "disagreement.png")
        table, rows = io.StringIO(), zip(names, rates, strict=True)
        csv.writer(table, lineterminator="\n").writerows([["", *names], *([name, *row] for name, row in rows)])
        write_whole(directory / "disagreement.csv", table.getvalue())
    if "token_similarity" in figures:
        draw_token_similarity(figures["token_similarity"], directory / "token_similarity.png")
    draw_attention_distance(figures["attention_distance"], directory / "attention_distance.png")


def _describe(figures, num_images, dataset):
    yield f"{dataset}: {num_images:,} images"
    if "disagreement" in figures:
        names, rates = figures["disagreement"].values()
        width = max(map(len, names)) + 2
        yield "Images with different predictions:"
        yield " " * (width + 2) + "".join(f"{name:>{width}}" for name in names)
        yield from (
            f"  {name:<{width}}" + "".join(f"{rate:>{width}.1%}" for rate in row)
            for name, row in zip(names, rates, strict=True)
        )
    if "token_similarity" in figures:
        similarities = figures["token_similarity"]
        yield f"Cosine of the two tokens: {similarities[0]:.2f} at the input, {similarities[-1]:.2f} after the last block"
    means = [sum(row) / len(row) for row in figures["attention_distance"]]
    yield f"Attention distance: {means[0]:.1f} pixels in the first block, {means[-1]:.1f} in the last block"
