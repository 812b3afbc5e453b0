"""What a run was begun with: its images and its teacher, so that a resumed run notices when they have changed."""

MAX_NAMED = 5  # classes in a message


def fingerprint(run):
    """Describes the images and the teacher of a run.

    Args:
        run: `Run`.

    Returns:
        Dictionary that JSON can represent.
    """
    return {
        "train": _of_images(run.data.train),
        "test": _of_images(run.data.test),
        "classes": list(run.data.train.class_names),
        "teacher": run.teacher_digest,
    }


class ChangedRunError(ValueError):
    """The images or the teacher of a run have changed since its checkpoint."""


def check_unchanged(before, now, accepts_changes=False):
    """Checks that a run continues with what it was begun with.

    Args:
        before, now: Dictionaries of `fingerprint`.
        accepts_changes: Whether a difference is printed instead.

    Raises:
        ChangedRunError: If something has changed; the message names it.
    """
    found = differences(before, now)
    if not found:
        return
    changes = f"What the run was begun with has changed: {'; '.join(found)}."
    if not accepts_changes:
        raise ChangedRunError(
            f"{changes} Undo the change, or continue with --accept-changes. The order of the images in the later steps "
            "may then differ too."
        )
    print(f"{changes} The run continues with the changes.")


def differences(before, now):
    """Lists what has changed.

    Args:
        before, now: Dictionaries of `fingerprint`.

    Returns:
        List of phrases; empty if nothing has changed.

    Example:

    >>> same = {"test": {"images": 2, "digest": "b"}, "classes": ["x", "y"], "teacher": None}
    >>> differences({"train": {"images": 9, "digest": "a"}, **same}, {"train": {"images": 8, "digest": "c"}, **same})
    ['the train split had 9 images and now has 8']
    """
    found = [*_differences_of_classes(before["classes"], now["classes"])]
    for split in ("train", "test"):
        old, new = before[split], now[split]
        if old["images"] != new["images"]:
            found.append(f"the {split} split had {old['images']:,} images and now has {new['images']:,}")
        elif old != new:
            found.append(f"images of the {split} split were renamed, replaced or given other labels")
    if before["teacher"] != now["teacher"]:
        found.append("the teacher has other weights, or is another model")
    return found


def _differences_of_classes(before, now):
    for verb, names in (("gone", set(before) - set(now)), ("new", set(now) - set(before))):
        if names:
            yield f"classes are {verb}: {', '.join(sorted(names)[:MAX_NAMED])}{', ...' * (len(names) > MAX_NAMED)}"
    if set(before) == set(now) and before != now:
        yield "the classes are in another order"


def _of_images(data):
    return {"images": len(data), "digest": data.content_digest()}
