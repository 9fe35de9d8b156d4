"""DistillKit's Parquet beside the tokens of a decoder's rows: from bytes to what students learn from, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from ruamel.yaml import YAML

from distill.__main__ import main
from distill.core.errors import UserError
from distill.data.dataset import Dataset, example_id
from distill.data.tokenizers import load_tokenizer
from distill.evaluation.evaluate import measure_student
from distill.params.given import GivenSettings
from distill.preparation.prepare import make_rows, write_dataset
from distill.sources.files import read_local
from distill.store.target_set import TargetStore
from distill.targets.given.distillkit import answered_compressed, join_compressed
from distill.targets.given.normalization import Normalizer
from distill.targets.given.write import write_given
from distill.targets.verification.integrity import check
from stages.given import main as give
from tests import tiny
from tests.command_line import invoke
from tests.decoders import decoder, tokenizer
from tests.distillkit import SCHEMA, pack, table_row, write

WORDS = 46
LENGTH = 12
EXACT: dict[str, Any] = {"d": WORDS, "k": 8, "exact_k": 8, "residual_bins": [], "delta_encoding": False}
CURVED: dict[str, Any] = {**EXACT, "exact_k": 3, "exact_dtype": "bfloat16", "polynomial_terms": [0, 1, "sqrt"]}
COLUMNS = {"input_ids": "input_ids", "compressed_logprobs": "compressed_logprobs", "bytepacked_indices": "bytepacked_indices"}
Rows = list[dict[str, Any]]


def settings(how: dict[str, Any] = EXACT, **more: Any) -> GivenSettings:
    entry = {"table": "data/raw/kit", "dataset": "rows", "columns": COLUMNS, "compression": how, **more}
    return GivenSettings.model_validate_json(json.dumps(entry))


def tokens_of(seed: int, count: int) -> list[list[int]]:
    """Rows of 2 to 20 tokens; the first is there twice, and the longest are cut."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(6, WORDS, rng.integers(2, 20)).tolist() for _ in range(count)]
    return [*rows, rows[0]]


SPLITS = {split: tokens_of(seed, count) for seed, (split, count) in enumerate({"train": 12, "validation": 4, "test": 4}.items())}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("rows")
    entry = tiny.settings("causal-lm", columns={"input_ids": "input_ids"}, max_length=LENGTH)
    tables = {split: pa.table({"input_ids": rows}) for split, rows in SPLITS.items()}
    write_dataset(folder, *make_rows(tables, "rows", entry), entry, tokenizer())
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def teacher() -> Callable[[list[int]], torch.Tensor]:
    model = decoder(seed=1)

    def logits(tokens: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return 3 * model(torch.tensor([tokens])).logits[0]

    return logits


def compressed(teacher: Any, how: dict[str, Any], splits: tuple[str, ...] = ("train",)) -> Rows:
    """Rows of these splits; of every other one the last vector predicts beyond the row."""
    found = []
    for number, tokens in enumerate(tokens for split in splits for tokens in SPLITS[split]):
        row, _, _ = table_row([*tokens, 6] if number % 2 else tokens, teacher([*tokens, 6]), how)
        found.append({**row, "input_ids": tokens})
    return found


def joined(rows: Rows, dataset: Dataset, folder: Path, how: dict[str, Any] = EXACT, schema: pa.Schema = SCHEMA) -> Any:
    return join_compressed(read_local(write(folder / "kit/train.parquet", rows, schema)), dataset, settings(how), "kit")


@pytest.mark.parametrize("how", [EXACT, CURVED, {**EXACT, "delta_encoding": True}], ids=["exact", "curved", "differences"])
def test_what_the_bytes_stand_for_is_what_is_kept_of_each_training_row(dataset, teacher, tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    rows = compressed(teacher, how, ("train", "test"))
    strange = {**rows[0], "input_ids": [6, *rows[0]["input_ids"]]}
    part, count, strangers = joined([*rows, strange, {**strange, "input_ids": None}], dataset, tmp_path, how)
    assert (count, strangers) == (len(rows) + 2, 2)
    (tmp_path / "set").mkdir()
    write_given(tmp_path / "set", dataset, {"train": part}, settings(how), how["k"])
    assert not check(tmp_path / "set").problems
    reader = TargetStore.open(tmp_path / "set").output("likeliest", "train")
    assert (reader.codec.name, reader.codec.vocabulary) == ("top-8", WORDS)
    for tokens in SPLITS["train"]:
        seen = tokens[:LENGTH]
        key = np.frombuffer(example_id(seen, None, np.arange(len(seen) - 1)), np.uint8)
        kept = reader.gather(reader.locate(key[None]))
        _, ids, logs = table_row(seen, teacher([*tokens, 6]), how)
        assert kept.shape == (len(seen) - 1, 17)
        for line, own, values in zip(kept.double().numpy(), ids, logs, strict=True):
            expected = dict(zip(own.tolist(), np.exp(values - max(np.logaddexp.reduce(values), 0)).tolist(), strict=True))
            found = dict(zip(line[:8].astype(int).tolist(), np.exp(line[8:16]).tolist(), strict=True))
            assert found == pytest.approx(expected, rel=2e-2, abs=1e-3)
            assert np.exp(line[16]) == pytest.approx(max(0, 1 - np.exp(values).sum()), abs=1e-2)
            assert (np.diff(line[8:16]) <= 0).all()


def test_equal_rows_are_kept_once_and_a_row_is_found_by_its_first_tokens(dataset, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = compressed(teacher, EXACT)
    part, _, _ = joined(rows, dataset, tmp_path)
    assert part.rows == len(part.positions) == len({tuple(tokens[:LENGTH]) for tokens in SPLITS["train"]}) == 12
    longer = [{**row, **{name: row[name] * 3 for name in SCHEMA.names}} for row in rows if len(row["input_ids"]) >= LENGTH]
    for row in longer:
        row.update({name: (row[name] * 2)[: len(row["input_ids"])] for name in SCHEMA.names[1:]})
    rest = [row for row in rows if len(row["input_ids"]) < LENGTH]
    again, _, _ = joined([*longer, *rest], dataset, tmp_path / "again")
    assert np.array_equal(part.logits, again.logits)
    folder = write(tmp_path / "few/train.parquet", rest)
    assert answered_compressed(read_local(folder), dataset, settings(), "kit") == len({tuple(row["input_ids"]) for row in rest})


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Rows], Any]:
    """A change of the first row."""
    return lambda rows: rows[0].update({name: change(rows[0][name])})


LOGS, IDS = "compressed_logprobs", "bytepacked_indices"
TWICE = pack([7, 7, 8, 9, 10, 11, 12, 13], 6)
COPIED = "copy `compression` from the compression_config.yaml beside the files"
FLOATS = [list(np.array(values, "<f4").tobytes()) for values in ([-0.1] * 8, [np.nan] * 8, [np.inf] * 8, [-9.0] * 7 + [-8.0])]
REFUSALS: dict[str, tuple[Callable[[Rows], Any], str]] = {
    "too few vectors": (
        edit(LOGS, lambda lines: lines[:-2]),
        rf"kit: train: row 0: has \d+ vectors of log-probabilities and \d+ of ids for {len(SPLITS['train'][0])} tokens, "
        rf"expected {len(SPLITS['train'][0]) - 1} of each, or {len(SPLITS['train'][0])}: .*; drop the row",
    ),
    "too many vectors": (
        lambda rows: [edit(name, lambda lines: lines + lines[:1] * 2)(rows) for name in (LOGS, IDS)],
        "vectors of log-probabilities",
    ),
    "short vector": (
        edit(LOGS, lambda lines: [lines[0][:-1], *lines[1:]]),
        f"kit: train: row 0: vector 0 of log-probabilities has 31 bytes, expected 32 by `compression`; {COPIED}",
    ),
    "long vector of ids": (
        edit(IDS, lambda lines: [lines[0], [*lines[1], 0], *lines[2:]]),
        f"kit: train: row 0: vector 1 of ids has 7 bytes, expected 6 by `compression`; {COPIED}",
    ),
    "an id twice": (
        edit(IDS, lambda lines: [TWICE, *lines[1:]]),
        f"kit: train: row 0: token 0 has the id 7 twice, expected 8 different ones; {COPIED}",
    ),
    "an id beyond d": (
        edit(IDS, lambda lines: [lines[0], pack([60, *range(7)], 6), *lines[2:]]),
        f"kit: train: row 0: token 1 has the id 60, expected ids below 46, d of `compression`; {COPIED}",
    ),
    "too much": (
        edit(LOGS, lambda lines: [FLOATS[0], *lines[1:]]),
        f"kit: train: row 0: token 0 has probabilities that add up to 7.24, expected at most 1; {COPIED}",
    ),
    "no number": (edit(LOGS, lambda lines: [FLOATS[1], *lines[1:]]), "row 0: token 0 has log-probabilities that are no numbers"),
    "infinite": (edit(LOGS, lambda lines: [FLOATS[2], *lines[1:]]), "row 0: token 0 has log-probabilities that are no numbers"),
    "rising": (
        edit(LOGS, lambda lines: [FLOATS[3], *lines[1:]]),
        f"row 0: token 0 has log-probabilities in another order than the likeliest first; {COPIED}",
    ),
    "no answer": (
        edit(LOGS, lambda lines: None),
        r"kit: 1 of 12 training rows are not in it or have no answer there, such as the rows \d+ of .*; make both of one source",
    ),
    "not there": (
        lambda rows: [rows.pop(1), rows.pop(1)],
        r"kit: 2 of 12 training rows are not in it or have no answer there, such as the rows \d+, \d+ of ",
    ),
}


@pytest.mark.parametrize(("change", "complaint"), REFUSALS.values(), ids=REFUSALS)
def test_rows_that_do_not_fit_are_refused_by_name_in_a_line(dataset, teacher, tmp_path, monkeypatch, change, complaint):
    monkeypatch.chdir(tmp_path)
    rows = compressed(teacher, EXACT)[:-1]
    rows[0] = {
        **rows[0],
        LOGS: rows[0][LOGS][: len(rows[0]["input_ids"]) - 1],
        IDS: rows[0][IDS][: len(rows[0]["input_ids"]) - 1],
    }
    change(rows)
    with pytest.raises(UserError, match=complaint) as caught:
        joined(rows, dataset, tmp_path)
    assert "\n" not in str(caught.value)


def test_ids_that_the_tokenizer_lacks_are_refused_and_the_right_one_is_asked_for(dataset, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = compressed(teacher, EXACT)
    rows[0][IDS][0] = pack([WORDS, *range(7)], 6)
    with pytest.raises(
        UserError, match="row 0: token 0 has the id 46, expected ids below 46, words of the data set's tokenizer; take"
    ):
        joined(rows, dataset, tmp_path, {**EXACT, "d": 47})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (EXACT, {**CURVED, "exact_dtype": "float16", "exact_k": 4, "polynomial_terms": [0, 1, 2, 3, 4, "sqrt"]}),
        ({**CURVED, "delta_encoding": True}, CURVED),
        (CURVED, {**CURVED, "normalize_t": True, "polynomial_terms": [1, 0, "exp"]}),
        (CURVED, {**CURVED, "exact_k": 5, "polynomial_terms": [0, 1]}),
    ],
    ids=["another type", "no differences", "other terms", "another exact_k"],
)
def test_other_settings_than_a_file_was_written_with_are_refused_and_its_own_are_taken(
    dataset, teacher, tmp_path, monkeypatch, written, said
):
    monkeypatch.chdir(tmp_path)
    rows = compressed(teacher, written)
    with pytest.raises(UserError, match=r"kit: train: row \d+: token \d+ has .*; copy `compression` from"):
        joined(rows, dataset, tmp_path, said)
    assert len(joined(rows, dataset, tmp_path / "again", written)[0].positions) == 12


def test_older_files_and_other_columns_are_refused_with_what_they_lack(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = pa.list_(pa.list_(pa.float32()))
    older = pa.schema(
        [("input_ids", pa.list_(pa.uint64())), ("packed_indices", numbers), ("exact_values", numbers), ("coeffs", numbers)]
    )
    row = {"input_ids": [7, 8], **{name: [[1.0]] for name in older.names[1:]}}
    with pytest.raises(
        UserError, match="kit: train: has packed_indices, exact_values, coeffs, DistillKit's older format, which holds"
    ):
        joined([row], dataset, tmp_path / "older", schema=older)
    lacking = pa.schema([SCHEMA.field(0), SCHEMA.field(1).with_name("logprobs"), SCHEMA.field(2)])
    with pytest.raises(UserError, match="kit: train: no column 'compressed_logprobs' for columns.compressed_logprobs"):
        joined([], dataset, tmp_path / "lacking", schema=lacking)
    flat = pa.schema([SCHEMA.field(0), pa.field(LOGS, pa.list_(pa.uint8())), SCHEMA.field(2)])
    with pytest.raises(UserError, match="column 'compressed_logprobs' is list<.*>, expected a list of lists of bytes a row"):
        joined([], dataset, tmp_path / "flat", schema=flat)


def test_what_is_approximated_is_scaled_to_what_exact_probabilities_leave():
    normalizer = Normalizer(2, "advice")
    exact, others = np.log([0.6, 0.3]), np.log([0.4, 0.1])
    within = np.log([0.05, 0.01])
    found = normalizer.normalized(torch.tensor(np.array([[*exact, *others], [*exact, *within]])), "here")
    np.testing.assert_allclose(np.exp(found), [[0.6, 0.3, 0.08, 0.02], [0.6, 0.3, 0.05, 0.01]])
    normalizer.finish()
    rounded = normalizer.normalized(torch.tensor([[np.log(0.7), np.log(0.31), 3.0, -2.0]]), "here")
    np.testing.assert_allclose(np.exp(rounded), [[0.7 / 1.01, 0.31 / 1.01, 0, 0]], atol=1e-7)
    with pytest.raises(
        UserError, match="here: token 0 has probabilities that add up to 1.4, expected at most 1, and so have 2 of 3"
    ):
        normalizer.finish()


def test_the_stage_writes_the_set_and_plan_knows_it(dataset, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("data/raw/kit/train.parquet"), compressed(teacher, CURVED, ("train", "test")))
    shutil.copytree(dataset.folder, "data/prepared/rows")
    rows = {"source": "kit", "task": "causal-lm", "columns": {"input_ids": "input_ids"}, "tokenizer": {"path": "x"}}
    entry = {"table": "data/raw/kit", "dataset": "rows", "columns": COLUMNS, "compression": CURVED}
    params = {"sources": {"kit": {"path": "kit"}}, "datasets": {"rows": rows}, "given": {"kit": entry}}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(params, file)
    done = invoke(give, "kit")
    assert done.returncode == 0, done.stderr
    record = json.loads(Path("data/runs/given/kit.json").read_text(encoding="utf-8"))
    assert (record["splits"]["train"]["answered"], record["strangers"]) == (12, 0)
    assert set(record["bytes"]) == {"likeliest", "tokens"}
    planned = invoke(main, "plan", "kit")
    assert planned.returncode == 0, planned.stderr
    assert "answers for 12 of 12 train rows" in planned.stdout
    place = tiny.save(decoder(layers=1), tmp_path / "student", load_tokenizer(dataset.folder / "tokenizer"))
    found, detail, _ = measure_student(place, dataset, TargetStore.open(Path("data/targets/kit")), (1,))
    assert {"likelihood", "bits_per_byte"} <= set(found)
    assert not {"retention", "exact_match"} & set(found)
    assert detail.continuations
