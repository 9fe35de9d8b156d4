"""CoNLL files: a token a line, the tag in the last column."""

import re

import pytest

from distill.core.errors import UserError
from tests.sources.reading import read, rows_of, write


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (
            "-DOCSTART- -X- O O\n\nEU NNP I-ORG\nis VBZ O\n\n \nPeter NNP I-PER",
            [(["EU", "is"], ["I-ORG", "O"]), (["Peter"], ["I-PER"])],
        ),
        ("New York\tB-LOC\r\nis\tO\r\n", [(["New York", "is"], ["B-LOC", "O"])]),
        ("# id 4 domain=x\na _ _ O\n# _ _ O\n", [(["a", "#"], ["O", "O"])]),
        ("\u00a0 O\n\u2028 O\n", [(["\u00a0", "\u2028"], ["O", "O"])]),
        ('" O\n', [(['"'], ["O"])]),
        ("a\nb\n\nc\n", [(["a", "b"], None), (["c"], None)]),
        ("", []),
    ],
)
def test_sentences_are_lists_of_tokens_and_tags(tmp_path, content, rows):
    assert rows_of(write(tmp_path / "a.conll", content)) == rows


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a O\nb\n", "line 2: has 1 columns, those before have 2: 'b'; expected a token, its tag"),
        ("a\tO\n\tO\n", "line 2: has 2 columns"),
        ("a O\n" * 5001, "line 5001: 5000 tokens and no blank line before it"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_lines_that_are_no_tokens_are_refused(tmp_path, content, complaint):
    path = write(tmp_path / "a.bio", content)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}"):
        read(path)
