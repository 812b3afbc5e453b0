"""The choice of the base and of the convnet on the validation split."""

from keras_deit.reproduction.design import student_candidates, teacher_candidates


def choose_settings(design, dataset, run, store):
    """Chooses the settings of one dataset. The test split is not used.

    The convnet is the one with the highest accuracy on the validation split. The base is the setting whose accuracies with
    a distillation token and without a teacher have the highest mean, so that the choice favours neither.

    Args:
        design: `Design`.
        dataset: Name or path of the dataset.
        run: Function that runs the unfinished ones of a list of `Training`.
        store: `Store` with their results.

    Returns:
        The `Setting`s of the base and of the convnet, and a list of rows of text, one for each candidate: its setting and
        its accuracy.
    """
    convnets = teacher_candidates(design, dataset)
    run(convnets)
    accuracies = [store.figures(training.name)["accuracy"] for training in convnets]
    convnet = convnets[_index_of_best(accuracies)]
    rows = [(training.setting, accuracy) for training, accuracy in zip(convnets, accuracies, strict=True)]

    students = student_candidates(design, dataset, convnet.name)
    run([training for pair in students for training in pair])
    means = [sum(store.figures(training.name)["accuracy"] for training in pair) / len(pair) for pair in students]
    base = students[_index_of_best(means)][0]
    rows += [(pair[0].setting, mean) for pair, mean in zip(students, means, strict=True)]
    return base.setting, convnet.setting, rows


def _index_of_best(values):
    return max(range(len(values)), key=values.__getitem__)
