"""Labels, tags and scores into numbers: classes are what the rows say, as it is written; the unknown is refused."""

import json
import math
import re
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from distill.core.errors import UserError
from distill.core.validation import validate
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.numbering import number_classes, number_scores, number_tags
from distill.sources.streams import class_names

NUMBER_OF = {"sequence-classification": number_classes, "token-classification": number_tags, "regression": number_scores}


def entry(task: str = "sequence-classification", yaml: str = "") -> DatasetSettings:
    """An entry of `datasets` with these lines of YAML, as params.yaml is read."""
    more = YAML(typ="safe", pure=True).load(f"{{{yaml}}}")
    return validate(DatasetSettings, {"source": "s", "task": task, "tokenizer": {"path": "t"}, **more}, "datasets.x")


def numbered(
    task: str, splits: dict[str, list[Any]], yaml: str, carried: dict[str, Any]
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    column = "tags" if task == "token-classification" else "label"
    rows, tables = {}, {}
    for split, values in splits.items():
        rows[split] = Rows(
            [f"t{i}" for i in range(len(values))], None, np.fromiter(values, object, len(values)), np.arange(len(values))
        )
        feature = {"info": {"features": {column: {"names": carried.get(split)}}}} if carried.get(split) else {}
        tables[split] = pa.table({}).replace_schema_metadata({"huggingface": json.dumps(feature)})
    return NUMBER_OF[task](rows, tables, "here", entry(task, yaml))


def classes(train: list[Any], yaml: str = "", carried: Any = None, test: Any = ()) -> tuple[tuple[str, ...], list[str | None]]:
    """The names in order, and the name of each row's class, None for a transfer row; of train, then test."""
    both = {"train": carried, "test": carried} if isinstance(carried, list) else carried or {}
    rows, names = numbered("sequence-classification", {"train": train, "test": list(test)}, yaml, both)
    return names, [None if n < 0 else names[n] for split in ("train", "test") for n in rows[split].labels]


def complaint(*arguments: Any, task: str = "sequence-classification", **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        classes(*arguments, **more) if task == "sequence-classification" else numbered(task, *arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "names", "of_rows"),
    [
        (["b", "a", None, "b"], "a b", ["b", "a", None, "b"]),
        (["001", "002", "010"], "001 002 010", ["001", "002", "010"]),
        (["1.1", "1.10", "2.0"], "1.1 1.10 2.0", ["1.1", "1.10", "2.0"]),
        ([10, 9, 1], "1 9 10", ["10", "9", "1"]),
        (["10", "9", "1"], "1 9 10", ["10", "9", "1"]),
        ([-1, 0, 1], "-1 0 1", ["-1", "0", "1"]),
        (["-1", "0", "1"], "-1 0 1", ["-1", "0", "1"]),
        ([1, 2, 3, 4, 5], "1 2 3 4 5", ["1", "2", "3", "4", "5"]),
        ([1.0, 0.0, math.nan], "0 1", ["1", "0", None]),
        ([0.5, 10.5, 2.0], "0.5 2 10.5", ["0.5", "10.5", "2"]),
        ([True, False], "false true", ["true", "false"]),
        (["true", "false"], "false true", ["true", "false"]),
        (["True", "false"], "True false", ["True", "false"]),
        (["1", "x", "10"], "1 10 x", ["1", "x", "10"]),
        ([" a", "b ", "a\u00a0", "  ", ""], "a b", ["a", "b", "a", None, None]),
        (["None", "nan", "NA", "null"], "NA None nan null", ["None", "nan", "NA", "null"]),
        (["😀", "😡"], "😀 😡", ["😀", "😡"]),
        ([b"pos", b"neg"], "neg pos", ["pos", "neg"]),
        ([2**53 + 1, 2**53, -5], f"-5 {2**53} {2**53 + 1}", [f"{2**53 + 1}", f"{2**53}", "-5"]),
        (["1e3", "1000", "١"], "1000 1e3 ١", ["1e3", "1000", "١"]),
        (["x" * 5000, "x" * 4999 + "y"], f"{'x' * 5000} {'x' * 4999}y", ["x" * 5000, "x" * 4999 + "y"]),
        ([date(2024, 1, 5), date(2023, 1, 5)], "2023-01-05 2024-01-05", ["2024-01-05", "2023-01-05"]),
    ],
)
def test_a_class_is_what_the_rows_say(values, names, of_rows):
    assert classes(values) == (tuple(names.split()), of_rows)


@pytest.mark.parametrize(
    ("values", "yaml", "names", "of_rows"),
    [
        ([0, 1], "labels: [neg, pos]", "neg pos", ["neg", "pos"]),
        ([1.0, 0.0, None], "labels: [neg, pos]", "neg pos", ["pos", "neg", None]),
        ([-1, 0, 1], "labels: [neg, neutral, pos]", "neg neutral pos", ["neg", "neutral", "pos"]),
        ([-1, 0, 1], "unlabelled: -1, labels: [no, yes]", "no yes", [None, "no", "yes"]),
        (["NA", "a", "b", "?"], "unlabelled: [NA, '?']", "a b", [None, "a", "b", None]),
        ([10, 9, 1], "labels: [low, mid, high]", "low mid high", ["high", "mid", "low"]),
        ([1, 2, 3], "labels: {1: bad, 3: good}", "bad 2 good", ["bad", "2", "good"]),
        ([1, 2, 3], "labels: [3: good, 2: good, 1: bad]", "good bad", ["bad", "good", "good"]),
        (["b", "a"], "labels: [b, a, c]", "b a c", ["b", "a"]),
        ([True, False], "labels: [true, false]", "true false", ["true", "false"]),
        ([True, False], "labels: ['false', 'true']", "false true", ["true", "false"]),
        ([True, False], "labels: {true: yes, false: no}", "no yes", ["yes", "no"]),
        ([1, 2], "labels: [2, 1]", "2 1", ["1", "2"]),
        (["001", "002"], "labels: {'001': one}", "one 002", ["one", "002"]),
        (["001", "002"], "labels: [one, two]", "one two", ["one", "two"]),
        (["Pos", "pos", "neg"], "labels: {Pos: pos}", "pos neg", ["pos", "pos", "neg"]),
        (["Pos", "pos", "neg"], "labels: [neg, pos, Pos]", "neg pos Pos", ["Pos", "pos", "neg"]),
        (["Pos", "pos", "neg"], "labels: {Pos: Pos, pos: pos}", "Pos neg pos", ["Pos", "pos", "neg"]),
        (["a", "b"], "labels: {a: b, b: a}", "b a", ["b", "a"]),
        ([None, None], "labels: [a, b]", "a b", [None, None]),
    ],
)
def test_labels_name_classes_by_their_values(values, yaml, names, of_rows):
    assert classes(values, yaml) == (tuple(names.split()), of_rows)


A, B, C = (
    ["entailment", "neutral", "contradiction"],
    ["neutral", "contradiction", "entailment"],
    ["contradiction", "entailment", "neutral"],
)


@pytest.mark.parametrize("order", [None, A, B, C])
@pytest.mark.parametrize(("train", "test"), [(A, A), (B, C)])
def test_the_same_rows_have_the_same_named_class_in_whatever_order(order, train, test):
    """MNLI's three: the source's, another file's, and that of a teacher's config."""
    rows = ["neutral", "entailment", "contradiction", None]
    integers = [[-1 if name is None else own.index(name) for name in rows] for own in (train, test)]
    yaml = f"labels: [{', '.join(order)}]" if order else ""
    assert classes(integers[0], yaml, {"train": train, "test": test}, integers[1]) == (tuple(order or train), rows + rows)
    upper = [name.upper() for name in C]
    told = complaint(integers[0], f"labels: [{', '.join(upper)}]", {"train": train, "test": test}, integers[1])
    advised = re.search(r"labels: \[.*\]", told)[0]
    named = [name and name.upper() for name in rows]
    assert classes(integers[0], advised, {"train": train, "test": test}, integers[1]) == (tuple(upper), named + named)


@pytest.mark.parametrize(
    ("values", "yaml", "carried", "told"),
    [
        (["a", "a", None], "", None, "the training split has the labels ['a']; expected at least two classes; see columns.label"),
        ([None], "", None, "the training split has the labels []"),
        (
            [-1, 0, 1],
            "labels: [neg, pos]",
            None,
            'the 3 numbers -1, 0, 1, `labels` has 2 names; name the numbers: labels: {"-1": NAME',
        ),
        (["x", "y"], "labels: [neg, pos]", None, "none of which is in `labels` (neg, pos); rename them"),
        (
            [0, 1],
            "labels: [bad, good]",
            ["neg", "pos"],
            "none of which is in `labels` (bad, good); rename them, in the model's order",
        ),
        ([1, 2], "labels: {6: great}", None, "no row has the label '6'; the rows have 1, 2; remove it"),
        ([7, 0], "", ["neg", "pos"], "here: train: row 0: label 7 is unknown; expected one of neg, pos"),
        ([3, 0], "", ["3", "4"], "here: train: row 0: label 3 is unknown"),
        (
            ["a", "b", "A "],
            "",
            None,
            "the labels A (1 training rows) and a (1 training rows) differ in case or Unicode form alone",
        ),
        (["x", "caf\u00e9", "cafe\u0301"], "", None, '"cafe\\u0301" (1 training rows) and "caf\\xe9" (1 training rows) differ'),
        (["x", "a b", "a\u200b b"], "", None, "differ in case or Unicode form alone"),
    ],
)
def test_what_cannot_be_told_apart_or_named_is_refused(values, yaml, carried, told):
    assert told in complaint(values, yaml, carried)


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", "A "],
        ["x", "caf\u00e9", "cafe\u0301"],
        ["x", 'q"\U0001f600', 'Q"\U0001f600'],
        ["a", "straße", "STRASSE"],
        ["2", "1", "１"],
        ["2", "1", "1.0"],
        ["-1", "1", "-1.0"],
        ["x", "joy,love", "love, joy"],
        ["x", "a|b", "b|a"],
    ],
)
def test_the_advice_on_labels_that_look_the_same_works(values):
    merge, apart = re.findall(r"labels: \{[^}]*\}", complaint(values))
    assert (len(classes(values, merge)[0]), len(classes(values, apart)[0])) == (2, 3)


def test_two_ways_to_write_no_label_may_be_none_as_the_advice_says():
    values = ["x", "y", "N/A", "n/a"]
    advice = re.search(r"or if they stand for no label, (unlabelled: .*)", complaint(values))[1]
    assert classes(values, advice) == (("x", "y"), ["x", "y", None, None])
    assert "unlabelled" not in complaint(["x", "a", "A"])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["1", "1.0", "0", "0.0"], 'labels "0" (1 training rows) and "0.0" (1 training rows) are one number in two ways'),
        (["x", "joy,love", "love,joy"], "hold the same names; several labels a row are lists in JSONL"),
        (["x", "A, B", "A,B"], "hold the same names; several labels a row are lists in JSONL"),
        (["x", "a", "a\u200b"], 'labels: {"a\\u200b": a}, or'),
        (["x", "a", "a\u200b", "a\u200b"], 'labels: {"a\\u200b": a}, or'),
        (["1.0", "0.0"], """row 0: label '1' is unknown; expected one of 0.0, 1.0.*written in another way it is '1.0'"""),
    ],
)
def test_labels_that_differ_in_writing_alone_are_named_with_what_they_look_like(values, told):
    found = complaint(values, test=["1"] if values == ["1.0", "0.0"] else ())
    assert told in found or re.search(told, found)


def test_a_test_split_whose_numbers_are_written_in_another_way_is_read_as_the_advice_says():
    advice = complaint(["1.0", "0.0"], test=["1"]).partition("labels: {")[2].partition(": NAME")[0]
    assert classes(["1.0", "0.0"], f"labels: {{{advice}: '1.0'}}", test=["1"]) == (("0.0", "1.0"), ["1.0", "0.0", "1.0"])


@pytest.mark.parametrize(
    "value",
    [
        "['joy', 'love']", '["joy"]', '{"choices": ["joy", "love"]}', "[(0, 3, 'PER')]", "['a'\n 'b']", "[0 1]", "[]",
        "{joy,love}", " ['a'] ", "array(['a'], dtype=object)", 'c("a", "b")', ["a"], {"start": 0}, [[0, 3, "PER"]],
    ],
)  # fmt: skip
def test_lists_and_records_are_no_class_unless_labels_says_so(value):
    written = isinstance(value, str)
    found = complaint(["x", value, "y"])
    assert found.startswith("here: train: row 1: label ")
    assert ("looks like a list or record, expected one label; CSV holds text alone" if written else "expected text or") in found
    assert "here: train: row 0: tag" in complaint({"train": [["O", value]]}, "", {}, task="token-classification")
    if written:
        advice = re.search(r"labels: (\{.*)NAME\}$", found)[1]
        assert classes(["x", value, "y"], f"labels: {advice}several}}")[1] == ["x", "several", "y"]
        assert classes(["x", value, "y"], f"unlabelled: {advice.strip('{: ')}")[1] == ["x", None, "y"]


def test_words_in_brackets_are_classes():
    assert len(classes(["[OTHER]", "(a, b)", "{x}", "f(x)", "[x", "a [b, c]", "it's", "[IN:GET_WEATHER]", "(can't say)"])[0]) == 9


@pytest.mark.parametrize(
    ("values", "given", "found"),
    [
        (["1", "0", "-1.0"], "-1", '"-1.0" (1 of all rows) is "-1" of `unlabelled`'),
        (["a", "b", "unknown", "unknown"], "Unknown", "unknown (2 of all rows) is Unknown of `unlabelled`"),
        (["a", "b", "NA", "na"], "NA", "na (1 of all rows) is NA of `unlabelled`"),
    ],
)
def test_a_label_that_is_almost_one_of_unlabelled_is_refused_and_the_advice_works(values, given, found):
    told = complaint(values, f"unlabelled: {given}")
    assert found in told
    none, kept = re.search(r"(unlabelled: \[.*\]); if it is a class, (labels: .*)", told).groups()
    assert classes(values, none)[1] == [*values[:2], *[None] * (len(values) - 2)]
    assert len(classes(values, f"unlabelled: {given}, {kept}")[0]) == 3


@pytest.mark.parametrize("task", ["sequence-classification", "token-classification", "regression"])
def test_a_value_of_unlabelled_that_no_row_has_is_said(task, capsys):
    values = [["O", "B-x", "x"]] if task == "token-classification" else ["1", "0", "2"]
    numbered(task, {"train": values}, f"unlabelled: [{values[0][2] if task == 'token-classification' else 2}, 7, '?']", {})
    assert 'here: unlabelled: no row has "7", "?"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("fsh", "'fsh'"),
        (-2, "-2"),
        (True, "True"),
        (0.5, "0.5"),
        ("Cat", "'Cat' is unknown.*but for case or Unicode form it is 'cat'"),
    ],
)
def test_an_unknown_label_is_refused_or_dropped_with_its_row(value, shown):
    with pytest.raises(UserError, match=f"here: test: row 1: label {shown}.*bad_rows: drop"):
        classes(["cat", "dog"], test=["cat", value])
    rows, _ = numbered("sequence-classification", {"train": ["cat", "dog"], "test": ["cat", value, "dog"]}, "bad_rows: drop", {})
    assert (rows["test"].texts, list(rows["test"].dropped)) == (["t0", "t2"], [1])
    assert rows["test"].dropped[1].startswith("unknown label: label ")


def test_minus_one_outside_the_training_rows_is_not_taken_for_no_label():
    assert complaint(["0", "1"], test=["-1"]).endswith(
        "if it stands for no label: unlabelled: -1 (to leave out such rows: bad_rows: drop)"
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["NA", "null", "a"], "here: classes like others: NA, null; if they stand for no label, write them in `unlabelled`"),
        (["-", "--", "?", "a"], "here: classes like others: -, --, ?; if they stand for no label"),
        (["\\N", "<NA>", "#N/A", "a"], "here: classes like others: #N/A, <NA>, \\N; if"),
        ([" a", "a", "b\n"], "blanks around 2 labels are ignored"),
        ([3, 1], "the names in `labels` are those of the sorted numbers: 1 is low, 3 is high"),
    ],
)
def test_what_is_done_to_labels_is_said(values, told, capsys):
    classes(values, "labels: [low, high]" if 3 in values else "")
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("labels: [a, 1.10]", "labels: got 1.1, expected a label: text (in quotes"),
        ("labels: {5: null}", "labels: got None, expected a label"),
        ("labels: yes", "labels: got 'yes', expected a list of names or of VALUE: NAME, or a mapping"),
        ("labels: [a]", "labels: expected at least two names, each once"),
        ("labels: [a, a, b]", "labels: expected at least two names, each once"),
        ("unlabelled: 1.5", "unlabelled: got 1.5, expected a label"),
        ("drop_empty: true", "drop_empty: is gone; write `bad_rows: drop`"),
    ],
)
def test_labels_that_yaml_would_change_are_refused(yaml, told):
    with pytest.raises(UserError, match=re.escape(told)):
        entry(yaml=yaml)


@pytest.mark.parametrize(
    "feature",
    [
        '{"names": ["O", "B-x"], "_type": "ClassLabel"}',
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "List"}',
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}',
        '[{"names": ["O", "B-x"], "_type": "ClassLabel"}]',
    ],
)
def test_class_names_are_those_of_the_column_of_labels_or_lists_of_them_alone(feature):
    plain = pa.table({"text": ["a"], "label": [0]})
    raw = plain.replace_schema_metadata({"huggingface": f'{{"info": {{"features": {{"label": {feature}, "text": {{}}}}}}}}'})
    assert class_names(raw, "label") == ("O", "B-x")
    assert [class_names(raw, "text"), class_names(raw, "absent"), class_names(plain, "label")] == [None] * 3


def tags(rows: list[Any], yaml: str = "", carried: Any = None) -> tuple[tuple[str, ...], list[Any]]:
    made, names = numbered("token-classification", {"train": rows}, yaml, {"train": carried})
    return names, [row and [None if n < 0 else names[n] for n in row] for row in made["train"].labels]


@pytest.mark.parametrize(
    ("rows", "yaml", "carried", "names", "read"),
    [
        ([["I-a", "B-a"], None, ["O", "B-Z"]], "", None, "O B-Z B-a I-a", [["I-a", "B-a"], None, ["O", "B-Z"]]),
        ([[1, 0], [-1, -1]], "", ["B-x", "O"], "B-x O", [["O", "B-x"], None]),
        ([["O", None, " B-y"]], "labels: [B-y, O]", None, "B-y O", [["O", None, "B-y"]]),
        ([[1, 0]], "labels: [O, B-y]", None, "O B-y", [["B-y", "O"]]),
        ([["S-a", "O", "B-a", "E-a"]], "", None, "O B-a I-a", [["B-a", "O", "B-a", "I-a"]]),
        ([["U-a", "B-a", "I-a", "L-a", "O"]], "", None, "O B-a I-a", [["B-a", "B-a", "I-a", "I-a", "O"]]),
        ([[0, 1, 2]], "", ["O", "B-a", "E-a"], "O B-a I-a", [["O", "B-a", "I-a"]]),
        ([["S-a", "O"]], "labels: [O, S-a]", None, "O S-a", [["S-a", "O"]]),
        ([["NOUN", "VERB"], ["PRP$"]], "", None, "NOUN PRP$ VERB", [["NOUN", "VERB"], ["PRP$"]]),
        ([["B_a", "O", "I-a"]], "labels: {B_a: B-a}", None, "O B-a I-a", [["B-a", "O", "I-a"]]),
        ([["O", "x"]], "unlabelled: x, labels: [O, B-a]", None, "O B-a", [["O", None]]),
    ],
)
def test_tags_are_named_by_their_values_and_bioes_becomes_bio(rows, yaml, carried, names, read):
    assert tags(rows, yaml, carried) == (tuple(names.split()), read)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([["O", "B-"], ["B-x"]], "the tag 'B-' is not of the BIO scheme"),
        ([["O", "B-x", "NOUN"]], "the tag 'NOUN' is not of the BIO scheme (O, B-type, I-type) as others are; rename it"),
        ([["O", "O"], None], "the training split has the labels ['O']; expected at least two classes; see columns.tags"),
        ([[0, 1]], "the tags are the numbers 0, 1, which name no entities; give their names in `labels`"),
    ],
)
def test_tags_that_are_of_no_scheme_are_refused(rows, told):
    assert told in complaint({"train": rows}, "", {}, task="token-classification")


@pytest.mark.parametrize(
    ("rows", "pairs", "read"),
    [
        ([["o", "b-per", "i-per"]], "b-per: B-per, i-per: I-per, o: O", ["O", "B-per", "I-per"]),
        ([["O", "B_PER", "I_PER"]], "B_PER: B-PER, I_PER: I-PER", ["O", "B-PER", "I-PER"]),
        ([["O", "PER-B", "PER-I"]], "PER-B: B-PER, PER-I: I-PER", ["O", "B-PER", "I-PER"]),
        ([["O", "B:a b", "E:a b"]], '"B:a b": "B-a b", "E:a b": "E-a b"', ["O", "B-a b", "E-a b"]),
        ([["O", "PER", "LOC"]], "", ["O", "PER", "LOC"]),
        ([["VERB", "b-x"]], "", ["VERB", "b-x"]),
    ],
)
def test_tags_that_may_be_entities_are_said_with_their_names_in_bio(rows, pairs, read, capsys):
    tags(rows)
    told = capsys.readouterr().err
    assert "the tags name no entities" in told
    assert ("if they are entities: labels: {" + pairs + "}" in told) if pairs else ("if they" not in told)
    assert tags(rows, f"labels: {{{pairs}}}" if pairs else "")[1] == [read]


@pytest.mark.parametrize(("rows", "said"), [([[None, "B-x"], ["", "I-x"]], True), ([["O", "B-x"]], False)])
def test_entities_without_an_outside_are_said(rows, said, capsys):
    tags(rows)
    assert ("no tag is O: words without a tag are not learnt from" in capsys.readouterr().err) == said


@pytest.mark.parametrize(("advice", "names"), [("I-per: I-PER", "O B-PER I-PER"), ("I-per: I-per", "O B-PER I-per")])
def test_types_that_differ_in_case_are_refused_and_the_advice_works(advice, names):
    rows = [["O", "B-PER", "I-per"]]
    assert f"labels: {{{advice}}}" in complaint({"train": rows}, "", {}, task="token-classification")
    assert tags(rows, f"labels: {{{advice}}}")[0] == tuple(names.split())


def test_a_tag_that_stands_for_none_is_named_as_the_error_says():
    rows = [[0, 1, -100]]
    advice = complaint({"train": rows}, "labels: {0: O, 1: B-x}", {}, task="token-classification").partition("no tag: ")[2]
    assert tags(rows, f"labels: {{0: O, 1: B-x}}, {advice}")[1] == [["O", "B-x", None]]


def test_an_unknown_tag_is_refused_or_dropped_with_its_row_and_token():
    splits = {"train": [["O", "B-x"]], "test": [["O"], ["O", "B-x", "B-y"]]}
    assert complaint(splits, "", {}, task="token-classification").startswith(
        "here: test: row 1: token 2: tag 'B-y' is unknown; expected one of O, B-x (the training"
    )
    rows, _ = numbered("token-classification", splits, "bad_rows: drop", {})
    assert (rows["test"].texts, list(rows["test"].dropped)) == (["t0"], [1])


@pytest.mark.parametrize(
    ("values", "yaml", "scores"),
    [
        ([1, 2.5, None, -1], "", [1, 2.5, math.nan, -1]),
        (["3", " 0.5 ", "-1e-3", ""], "", [3, 0.5, -0.001, math.nan]),
        ([-1.0, -1.0], "", [math.nan, math.nan]),
        ([1.5, math.nan], "", [1.5, math.nan]),
        ([1.5, -1], "unlabelled: -1", [1.5, math.nan]),
        (["1.5", "-1.0", "-1.00"], "unlabelled: -1", [1.5, math.nan, math.nan]),
        (["-1.0", "-1"], "", [math.nan, math.nan]),
    ],
)
def test_scores_are_numbers_and_neither_none_nor_a_split_of_minus_one_has_any(values, yaml, scores):
    labels = numbered("regression", {"train": values}, yaml, {})[0]["train"].labels
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("values", "refused"),
    [([10**12 + 1, 10**12 + 9], True), (["1700000001", "1700000002"], True), ([0.1, 0.2, 1e30], False), ([0.1, 0.1], False)],
)
def test_scores_that_fp32_does_not_tell_apart_are_refused_and_the_advice_works(values, refused):
    if refused:
        told = complaint({"train": values}, "", {}, task="regression")
        assert "here: train: labels such as 1" in told
        assert told.endswith("take a constant away from all, so that they are near 0")
        values = [float(value) - float(values[0]) for value in values]
    assert numbered("regression", {"train": values}, "", {})[0]["train"].labels.tolist() == np.float32(values).tolist()


@pytest.mark.parametrize(
    ("values", "said"),
    [([-1, 2, 0], "1 of 3 labels are -1"), (["-999", "-999", 1.5], "2 of 3 labels are -999"), ([-1, -0.5, 1], ""), ([-2, 1], "")],
)
def test_a_score_that_may_stand_for_none_is_said_and_the_advice_works(values, said, capsys):
    numbered("regression", {"train": values}, "", {})
    told = capsys.readouterr().err
    assert said in told if said else not told
    if said:
        rows, _ = numbered("regression", {"train": values}, told.rpartition("no label: ")[2].strip(), {})
        assert not capsys.readouterr().err
        assert np.isnan(rows["train"].labels).sum() == int(said[0])


@pytest.mark.parametrize(
    ("names", "scores", "said"),
    [
        (["1", "2", "5"], [5, math.nan, 1, 2], False),
        (["a", "b", "c"], [2, math.nan, 0, 1], True),
    ],
)
def test_classes_that_are_read_as_scores_are_numbers_and_minus_one_is_none(names, scores, said, capsys):
    labels = numbered("regression", {"train": [2, -1, 0, 1], "test": [-1, -1]}, "", {"train": names, "test": names})[0]
    np.testing.assert_array_equal(labels["train"].labels, np.array(scores, np.float32))
    assert np.isnan(labels["test"].labels).all()
    told = "here: 'label' has classes, a, b, c, whose numbers are read as scores: a is 0, b is 1, c is 2\n"
    assert capsys.readouterr().err == (told if said else "")


@pytest.mark.parametrize("value", ["high", True, math.inf, "nan", "1_000", "3,5", 1e39, "1e400"])
def test_a_score_that_is_no_number_is_refused_or_dropped_with_its_row(value):
    told = complaint({"train": [0.5, value]}, "", {}, task="regression")
    assert told.startswith("here: train: row 1: label ")
    assert "expected a finite number, or null for a transfer row" in told
    rows = numbered("regression", {"train": [0.5, value]}, "bad_rows: drop", {})[0]["train"]
    assert (rows.labels.tolist(), list(rows.dropped)) == ([0.5], [1])
