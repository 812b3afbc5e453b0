"""What a run was begun with."""

import pytest

from keras_deit.training.fingerprint import ChangedRunError, check_unchanged

BEFORE = {
    "train": {"images": 9, "digest": "a"},
    "test": {"images": 2, "digest": "b"},
    "classes": ["cat", "dog"],
    "teacher": "t",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"images": 10, "digest": "c"}}, "the train split had 9 images and now has 10"),
        (
            {"test": {"images": 2, "digest": "c"}},
            "images of the test split were renamed, replaced or given other labels",
        ),
        ({"classes": ["dog", "cat"]}, "the classes are in another order"),
        ({"classes": ["cat", "puppy"]}, "classes are gone: dog; classes are new: puppy"),
        ({"teacher": "u"}, "the teacher has other weights"),
    ],
)
def test_a_change_is_named_and_can_be_accepted(change, message, capsys):
    with pytest.raises(ChangedRunError, match=f"{message}.*--accept-changes"):
        check_unchanged(BEFORE, {**BEFORE, **change})
    check_unchanged(BEFORE, {**BEFORE, **change}, accepts_changes=True)
    assert message in capsys.readouterr().out


def test_no_change_is_no_word(capsys):
    check_unchanged(BEFORE, dict(BEFORE))
    assert not capsys.readouterr().out
