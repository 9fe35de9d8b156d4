"""Every text encoder of transformers goes through all stages, or is refused before training, as docs/families.md has it."""

import pytest

from tests.families import FAMILIES, PAGE, Row, Walk, page


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    return Walk(tmp_path_factory.mktemp("families"))


@pytest.mark.filterwarnings("ignore")  # of transformers' own families
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_all_the_way_or_is_refused_before_training_and_the_page_says_so(walk, family):
    row = walk.walk(family)
    assert row.refused or row.exported < 1e-4
    assert str(row) in PAGE.read_text(encoding="utf-8").splitlines(), "run `python -m tests.families`"


def test_the_page_has_these_families_and_what_the_command_writes_above_them():
    head, _, _ = page([Row("x")]).partition("| x ")
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(head)
    assert [line.split(" ")[1] for line in text.removeprefix(head).splitlines()] == FAMILIES
