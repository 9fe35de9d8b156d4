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
        ("#text\tO\nis\tO\n\n#id\tB-x\n", [(["#text", "is"], ["O", "O"]), (["#id"], ["B-x"])]),
        ("# newdoc\n#text = a b\n#id O\na O\n", [(["#id", "a"], ["O", "O"])]),
        ("#sent_id = 5\na _ O\n\n#id 5 x\nb _ B-x\n", [(["a"], ["O"]), (["#id", "b"], ["x", "B-x"])]),
        ("#id 5\na O\n", [(["a"], ["O"])]),
        ("#id 3\na 0\n", [(["#id", "a"], ["3", "0"])]),
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
        ("a\tO\n\tO\n", "line 2: its column 1 is empty: '\\tO'; fill it"),
        ("a\tO\t\n", "line 1: its column 3 is empty: 'a\\tO\\t'; fill it, or remove the tab at the end of all lines"),
        ("a\tO\nb\tO\t\n", "line 2: has 3 columns, those before have 2: 'b\\tO\\t'; expected"),
        ("a O\n" * 5001, "line 5001: 5000 tokens and no blank line before it"),
        ("1 a O\n2 b O\n4 c O\n", "line 3: begins with '4', expected 3, for the first column numbers the words; mend it, put a"),
        ("1 a O\n2 b O\nc d O\n", "line 3: begins with 'c', expected 3"),
        ("1 a O\n2 b O\n\nc d O\n", "line 4: begins with 'c', expected a number"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_lines_that_are_no_tokens_are_refused(tmp_path, content, complaint):
    path = write(tmp_path / "a.bio", content)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}"):
        read(path)


ADA = [(["Ada", "runs"], ["B-x", "O"]), (["Bo"], ["B-y"])]
CONLL_U = """# sent_id = 1
# text = Vámonos al mar
1-2	Vámonos	_	_	_	_	_	_	_	_
1	Vamos	ir	VERB	V	_	0	root	_	_
2	nos	yo	PRON	P	_	1	obj	_	SpaceAfter=No
2.1	_	_	_	_	_	_	_	_	_

# newpar
1	mar	mar	NOUN	N	_	0	root	_	_
"""


@pytest.mark.parametrize(
    ("content", "rows", "said"),
    [
        ("1\tAda\tB-x\n2\truns\tO\n\n1\tBo\tB-y\n", ADA, "column 2 is read as the words, column 3 as their tags, and no other"),
        ("0 Ada NN B-x\n1 runs VB O\n\n0 Bo NN B-y\n", ADA, "column 4 as their tags"),
        ("1 Ada B-x\n2 runs O\n\n3 Bo B-y\n", ADA, "column 3 as their tags"),
        ("1 Ada\n2 runs\n\n1 Bo\n", [(words, None) for words, _ in ADA], "column 2 is read as the words, and no other"),
        ("#\thttp://x\n1\tAda\tB-x\tO\n2\truns\tO\tO\n\n#\ty\n1\tBo\tB-y\tB-z\n", ADA, "column 3 as their tags"),
        (CONLL_U, [(["Vamos", "nos"], ["VERB", "PRON"]), (["mar"], ["NOUN"])], "column 4 as their tags"),
        (CONLL_U, [(["Vamos", "nos"], ["VERB", "PRON"]), (["mar"], ["NOUN"])], "2 lines numbered as 1-2 or 1.1 are no tokens"),
        ("7 CD\n3 CD\n", [(["7", "3"], ["CD", "CD"])], "is read as the words, has numbers alone; if they are none, remove it"),
        ("1 O\n\n2 O\n\nx O\n\ny O\n\nz O\n", [([word], ["O"]) for word in "12xyz"], ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_first_column_that_numbers_the_words_is_told_from_words(tmp_path, capsys, content, rows, said):
    assert rows_of(write(tmp_path / "a.conllu", content)) == rows
    lines = " ".join(capsys.readouterr().err.split())
    assert said in lines if said else not lines


def test_the_advice_for_a_number_that_is_not_the_next_works(tmp_path):
    for content in ("1 Ada B-x\n2 runs O\n\n1 Bo B-y\n", "Ada B-x\nruns O\n\nBo B-y\n"):
        assert rows_of(write(tmp_path / "a.conll", content)) == ADA
