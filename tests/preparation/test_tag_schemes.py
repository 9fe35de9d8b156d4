"""All schemes of entity tags become BIO with the same entities; tags of no scheme stay."""

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from distill.data.tag_schemes import scheme_of, to_bio

BIO = ["B-x", "I-x", "I-x", "B-x", "O", "B-y", "B-x", "O"]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", ["I-x", "I-x", "I-x", "B-x", "O", "I-y", "I-x", "O"]),
        ("BIOES", ["B-x", "I-x", "E-x", "S-x", "O", "S-y", "S-x", "O"]),
        ("BILOU", ["B-x", "I-x", "L-x", "U-x", "O", "U-y", "U-x", "O"]),
        ("BMES", ["B-x", "M-x", "E-x", "S-x", "O", "S-y", "S-x", "O"]),
        ("IOE", ["I-x", "I-x", "E-x", "E-x", "O", "E-y", "E-x", "O"]),
    ],
)
def test_a_scheme_is_told_and_written_as_bio(scheme, tags):
    assert scheme_of(set(tags), [tags, [], ["O"]]) == scheme
    assert [list(to_bio(row)) for row in (tags, [], ["O"])] == [BIO, [], ["O"]]
    if scheme != "IOE":
        assert len(get_entities(BIO)) == 4


@pytest.mark.parametrize(
    "tags",
    [BIO, ["NN", "VB", "O"], ["I-x", "O", "B-x"], ["S-x", "NN"], ["B-LRB-", "X"], [3, 4], ["O", None], [], ["B_x", "E_x"]],
)
def test_bio_and_tags_of_no_scheme_stay_as_they_are(tags):
    assert scheme_of(set(tags), [tags]) is None
