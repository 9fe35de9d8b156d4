"""Tables of answers, in every form and format that people keep them in, beside the rows of a data set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.core.numeric import log_softmax
from distill.data.dataset import Dataset
from distill.params.given import GivenSettings
from distill.sources.files import read_local
from distill.sources.streams import Stream
from distill.store.target_set import TargetStore
from distill.targets.given.join import join
from distill.targets.given.table import read_answers
from distill.targets.given.write import write_given
from distill.targets.verification.integrity import check
from tests import tiny

LABELS = tiny.LABELS
P = {"cat": 0.7, "dog": 0.2, "fish": 0.1}


def entry(columns: dict[str, Any], **more: Any) -> GivenSettings:
    return GivenSettings.model_validate({"table": "data/raw/api", "dataset": "tiny", "columns": columns, **more})


def stream(table: pa.Table) -> Stream:
    return Stream(table.schema, lambda names: iter(table.select(names).to_batches()))


def answers(rows: list[dict[str, Any]] | pa.Table, columns: dict[str, Any], task: str = tiny.TASKS[0], own=LABELS, **more: Any):
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    found = read_answers({"train": stream(table)}, "data/raw/api", entry(columns, **more), task, own)
    return {key[0] if len(key) == 1 else key: answer.logits for key, answer in found.items()}


def shares(logits: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(logits))


KEY = {"id": "n"}
FORMS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "a mapping": ([{"n": 1, "p": P}], {"probabilities": "p"}, {}),
    "a mapping in JSON": ([{"n": "1", "p": json.dumps(P)}], {"probabilities": "p"}, {}),
    "a map of Arrow": (
        pa.table({"n": [1], "p": pa.array([list(P.items())], pa.map_(pa.string(), pa.float32()))}),
        {"probabilities": "p"},
        {},
    ),
    "a list in the table's own order": (
        [{"n": 1, "p": [0.2, 0.7, 0.1]}],
        {"probabilities": "p"},
        {"labels": ("dog", "cat", "fish")},
    ),
    "a column a label": (
        [{"n": 1, "a": "0.7", "b": "0.2", "c": "0.1"}],
        {"probabilities": {"cat": "a", "dog": "b", "fish": "c"}},
        {},
    ),
    "names of the table": (
        [{"n": 1, "p": {"feline": 0.7, "dog": 0.2, "fish": 0.1}}],
        {"probabilities": "p"},
        {"labels": {"feline": "cat"}},
    ),
    "logarithms": ([{"n": 1, "p": {k: float(np.log(v)) for k, v in P.items()}}], {"log_probabilities": "p"}, {}),
    "logarithms, the rest missing": ([{"n": 1, "p": {"cat": float(np.log(0.7))}}], {"log_probabilities": "p"}, {}),
    "logits": ([{"n": 1, "p": {k: float(np.log(v)) + 5 for k, v in P.items()}}], {"logits": "p"}, {}),
    "votes in a list": ([{"n": 1, "p": ["cat"] * 7 + ["dog"] * 2 + ["fish", None]}], {"votes": "p"}, {"votes": {"prior": 0.0}}),
    "a row a vote": (
        [{"n": 1, "p": name} for name in ["cat"] * 7 + ["dog"] * 2 + ["fish"]],
        {"votes": "p"},
        {"votes": {"prior": 0.0}},
    ),
    "logits over a temperature": (
        [{"n": 1, "p": {k: 2 * float(np.log(v)) for k, v in P.items()}}],
        {"logits": "p"},
        {"temperature": 2.0},
    ),
    "labels with a prior": ([{"n": 1, "p": "cat"}], {"label": "p"}, {"votes": {"prior": 0.5}}),
}
EXPECTED = {"logarithms, the rest missing": [0.7, 0.15, 0.15], "labels with a prior": [0.6, 0.2, 0.2]}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_probabilities_that_it_says(form):
    rows, columns, more = FORMS[form]
    found = answers(rows, {**KEY, **columns}, **more)
    np.testing.assert_allclose(shares(found["1"]), [EXPECTED.get(form, list(P.values()))], atol=1e-6)


@given(st.lists(st.lists(st.sampled_from(LABELS), min_size=1, max_size=5), min_size=1, max_size=6), st.floats(0.1, 3))
def test_votes_are_the_same_in_a_list_and_a_row_each(votes, prior):
    lists = [{"n": number, "v": row} for number, row in enumerate(votes)]
    single = [{"n": number, "v": vote} for number, row in enumerate(votes) for vote in row]
    found = [answers(rows, {**KEY, "votes": "v"}, votes={"prior": prior}) for rows in (lists, single)]
    assert found[0].keys() == found[1].keys()
    for key, logits in found[0].items():
        np.testing.assert_array_equal(logits, found[1][key])
        counts = np.array([votes[int(key)].count(label) for label in LABELS])
        np.testing.assert_allclose(shares(logits)[0], (counts + prior) / (counts.sum() + 3 * prior), atol=1e-9)


def test_any_number_of_labels_and_words_have_their_own_forms():
    several = {"task": "multi-label"}
    found = answers([{"n": 1, "p": {"cat": 0.9, "dog": 0.5, "fish": 0.2}}], {**KEY, "probabilities": "p"}, **several)
    np.testing.assert_allclose(1 / (1 + np.exp(-found["1"])), [[0.9, 0.5, 0.2]])
    votes = [{"n": 1, "v": [["cat", "dog"], ["cat"], []]}]
    expected = [[4 / 6, 1 / 3, 1 / 6]]
    for rows in ([{"n": 1, "v": vote} for vote in votes[0]["v"]], votes):
        found = answers(rows, {**KEY, "votes": "v"}, votes={"prior": 1.0}, **several)
        np.testing.assert_allclose(1 / (1 + np.exp(-found["1"])), [[3 / 5, 2 / 5, 1 / 5]] if expected else [])
    words = {"task": "token-classification"}
    found = answers([{"n": 1, "p": [P, {"dog": 1.0}]}], {**KEY, "probabilities": "p"}, **words)
    np.testing.assert_allclose(shares(found["1"]), [[0.7, 0.2, 0.1], [0, 1, 0]], atol=1e-9)
    found = answers([{"n": 1, "v": [["cat", "dog"], ["cat", "cat"]]}], {**KEY, "votes": "v"}, votes={"prior": 0.0}, **words)
    np.testing.assert_allclose(shares(found["1"]), [[1, 0, 0], [0.5, 0.5, 0]], atol=1e-9)
    score = answers([{"n": 1, "s": "2.5"}], {**KEY, "score": "s"}, task="regression", own=("score",))
    assert score["1"].tolist() == [[2.5]]


def test_a_row_without_an_answer_is_none_and_one_that_says_the_same_again_is_one():
    rows = [{"n": 1, "p": P}, {"n": 2, "p": None}, {"n": 1, "p": P}]
    assert list(answers(rows, {**KEY, "probabilities": "p"})) == ["1"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set whose rows have ids of their own: read only."""
    folder = tmp_path_factory.mktemp("own") / "tiny"
    return Dataset.open(prepare_with_ids(folder))


def prepare_with_ids(folder: Path) -> Path:
    tables = {}
    for number, (split, count) in enumerate({"train": 12, "validation": 4, "test": 4}.items()):
        table = tiny.raw("sequence-classification", count, number)
        tables[split] = table.append_column("n", pa.array([f"{split}-{row}" for row in range(count)]))
    settings = tiny.settings(columns={"id": "n"})
    folder.mkdir(parents=True)
    tiny.write_dataset(folder, *tiny.make_rows(tables, "tiny", settings), settings, tiny.tokenizer())
    return folder


def table_for(dataset: Dataset, splits: tuple[str, ...] = ("train", "validation", "test"), by: str = "id") -> pa.Table:
    """Random answers for all rows."""
    rng = np.random.default_rng(1)
    keys = [key for split in splits for key in (dataset.own_ids(split) if by == "id" else dataset.texts(split)[by])]
    return pa.table({by: keys, "p": [dict(zip(LABELS, rng.dirichlet([1, 1, 1]).tolist(), strict=True)) for _ in keys]})


def written(dataset: Dataset, table: pa.Table, folder: Path, **more: Any) -> TargetStore:
    settings = entry({("id" if "id" in table.column_names else "text"): table.column_names[0], "probabilities": "p"}, **more)
    found = read_answers({"train": stream(table)}, "raw", settings, dataset.task, dataset.labels)
    splits, _ = join(found, dataset, settings, "raw")
    write_given(folder, dataset, splits, settings)
    return TargetStore.open(folder)


@pytest.mark.parametrize("by", ["id", "text"])
def test_a_set_has_the_answer_of_each_row_and_is_whole(texts, tmp_path, by):
    table = table_for(texts, by=by)
    store = written(texts, table, tmp_path / "targets" / "api")
    store.require(texts, ("train", "validation", "test"))
    assert check(tmp_path / "targets" / "api").problems == []
    told = dict(zip(*table.to_pydict().values(), strict=True))
    for split in texts.splits:
        keys = texts.own_ids(split) if by == "id" else texts.texts(split)["text"]
        reader = store.output("logits", split)
        found = shares(reader.gather(reader.locate(texts.rows(split).ids)).numpy())
        np.testing.assert_allclose(found, [list(told[key].values()) for key in keys], atol=1e-6)


def test_the_same_answers_give_the_same_bytes_and_more_rows_leave_those_before_as_they_are(texts, tmp_path):
    table = table_for(texts)
    few = table.filter(pa.compute.not_equal(table["id"], "train-11"))
    first, again, grown = (
        written(texts, part, tmp_path / "targets" / name, missing="skip")
        for name, part in (("first", few), ("again", few.take(list(range(len(few)))[::-1])), ("grown", table))
    )
    assert first.manifests == again.manifests
    ids = first.output("logits", "train").ids
    assert len(grown.output("logits", "train")) == len(ids) + 1
    old, new = (each.output("logits", "train") for each in (first, grown))
    np.testing.assert_array_equal(old.gather(old.locate(ids)).numpy(), new.gather(new.locate(ids)).numpy())


def test_rows_that_the_table_lacks_are_named_and_refused_or_left_out(texts, tmp_path, capsys):
    table = table_for(texts, ("train",))
    few = table.filter(pa.compute.not_equal(table["id"], "train-3"))
    with pytest.raises(UserError, match=r"1 of 12 rows of train have no answer: 'train-3'; .* missing: skip"):
        written(texts, few, tmp_path / "targets" / "api")
    store = written(texts, few, tmp_path / "targets" / "api", missing="skip")
    assert "no row of test has an answer; the set has none of that split" in capsys.readouterr().err
    assert list(store.manifests["logits"].splits) == ["train"]
    assert store.manifests["logits"].splits["train"].lacking == 1
    reader = store.output("logits", "train")
    assert (reader.find(texts.rows("train").ids) < 0).tolist() == [row == 3 for row in range(12)]
    with pytest.raises(UserError, match="has no targets for row 3 .* nobody gave them"):
        reader.locate(texts.rows("train").ids)
    assert check(tmp_path / "targets" / "api", {texts.splits["train"]["fingerprint"]: texts.rows("train").ids}).problems == []


def test_a_table_of_other_rows_is_refused_with_both_keys(texts, tmp_path):
    with pytest.raises(UserError, match=r"1 answers \('nobody'\), none of which is of a row of .*, whose ids are 'train-0'"):
        written(texts, pa.table({"id": ["nobody"], "p": [P]}), tmp_path / "api")


def test_without_ids_of_their_own_rows_go_by_their_example_ids(dataset, tmp_path):
    ids = [identity.tobytes().hex() for identity in dataset.rows("test").ids]
    store = written(dataset, pa.table({"id": list(dict.fromkeys(ids)), "p": [P] * len(set(ids))}), tmp_path / "targets" / "api")
    reader = store.output("logits", "test")
    np.testing.assert_allclose(
        shares(reader.gather(reader.locate(dataset.rows("test").ids)).numpy())[0], list(P.values()), atol=1e-6
    )


def test_rows_that_are_equal_once_tokenized_have_the_mean_of_their_answers(tmp_path, capsys):
    texts, labels = ["w0 w1", "w0  w1", "w2"], ["cat", "cat", "dog"]
    dataset = Dataset.open(tiny.prepare_rows(tmp_path / "tiny", tiny.tokenizer(), texts, labels))
    given = [{"cat": 1.0, "dog": 0.0, "fish": 0.0}, {"cat": 0.0, "dog": 1.0, "fish": 0.0}, P]
    store = written(dataset, pa.table({"text": texts, "p": given}), tmp_path / "targets" / "api")
    reader = store.output("logits", "train")
    found = shares(reader.gather(reader.locate(dataset.rows("train").ids)).numpy())
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.5, 0.5, 0], list(P.values())], atol=1e-6)
    assert "1 rows are equal to others, once they are tokenized" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "read"), [("O I-x I-x B-x I-y", "O B-x I-x B-x B-y"), ("I-x O B-y I-y I-z", "B-x O B-y I-y I-z")]
)
@pytest.mark.parametrize("form", ["label", "votes"])
def test_tags_of_entities_are_read_as_the_data_sets_own(form: str, said: str, read: str) -> None:
    labels = ("O", "B-x", "I-x", "B-y", "I-y", "I-z")
    found = answers([{"n": 1, "v": said.split()}], {**KEY, form: "v"}, "token-classification", labels)
    assert [labels[place] for place in found["1"].argmax(axis=1)] == read.split()


def test_words_have_an_answer_each_at_their_first_token(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "token-classification", sizes=(8, 4, 4)))
    rows, rng, tags = dataset.rows("train"), np.random.default_rng(1), dataset.labels
    given = {tuple(words): rng.dirichlet(np.ones(len(tags)), len(words)) for words in dataset.texts("train")["words"]}
    table = pa.table({"w": [list(words) for words in given], "p": [answer.tolist() for answer in given.values()]})
    settings = entry({"tokens": "w", "probabilities": "p"}, labels=tags)
    found = read_answers({"train": stream(table)}, "raw", settings, dataset.task, tags)
    splits, _ = join(found, dataset, settings, "raw")
    write_given(tmp_path / "targets" / "api", dataset, splits, settings)
    store = TargetStore.open(tmp_path / "targets" / "api")
    assert check(tmp_path / "targets" / "api", {dataset.splits["train"]["fingerprint"]: rows.ids}).problems == []
    reader = store.output("logits", "train")
    for row, words in enumerate(dataset.texts("train")["words"]):
        logits = reader.gather(reader.locate(rows.ids[row : row + 1])).numpy()
        first = np.isfinite(logits).all(axis=1)
        assert first.tolist() == (rows.labels[rows.offsets[row] : rows.offsets[row + 1]] != -100).tolist()
        np.testing.assert_allclose(shares(logits[first]), given[tuple(words)][: first.sum()], atol=1e-6)
    short = pa.table({"w": table["w"].to_pylist()[:1], "p": [table["p"].to_pylist()[0][:1]]})
    found = read_answers({"train": stream(short)}, "raw", settings, dataset.task, tags)
    with pytest.raises(UserError, match=r"row 0: has answers for 1 words, row 0 of train has \d; give one a word"):
        join(found, dataset, settings, "raw")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_tables_of_any_format_are_read(texts, tmp_path, ending):
    table, file = table_for(texts), tmp_path / f"answers.{ending}"
    rows = table.to_pylist()
    if ending == "parquet":
        pq.write_table(table, file)
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [f"{row['id']}," + ",".join(str(value) for value in row["p"].values()) for row in rows]
        file.write_text("\n".join(["id,a,b,c", *lines]) + "\n", encoding="utf-8")
    form = {"cat": "a", "dog": "b", "fish": "c"} if ending == "csv" else "p"
    found = read_answers(read_local(file), "raw", entry({"id": "id", "probabilities": form}), texts.task, texts.labels)
    assert len(found) == len(table)
    for row in rows:
        np.testing.assert_allclose(shares(found[row["id"],].logits)[0], list(row["p"].values()), atol=1e-6)


def test_lists_of_shards_in_different_orders_are_refused_and_read_as_the_advice_says(tmp_path: Path) -> None:
    for number, order in enumerate((LABELS, LABELS[::-1])):
        rows = {"n": [number], "p": [[P[name] for name in order]]}
        pq.write_table(
            pa.table(rows).replace_schema_metadata({"distill.labels": json.dumps(order)}), tmp_path / f"a-{number}.parquet"
        )
    with pytest.raises(
        UserError, match="in different orders of labels: cat, dog, fish, and fish, dog, cat; rename the files, so"
    ):
        read_local(tmp_path)
    (tmp_path / "a-1.parquet").rename(tmp_path / "b.parquet")
    found = read_answers(read_local(tmp_path), "data/raw/api", entry({"id": "n", "probabilities": "p"}), tiny.TASKS[0], LABELS)
    assert [shares(answer.logits)[0].tolist() for answer in found.values()] == [pytest.approx(list(P.values()))] * 2
