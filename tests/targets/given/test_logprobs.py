"""`logprobs` of a server, beside the tokens of a decoder's training rows."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML
from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders
from tokenizers.models import BPE
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from distill.__main__ import main
from distill.core.errors import UserError
from distill.data.batching import Collator, pad_batch
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.tokenizers import load_tokenizer
from distill.evaluation.evaluate import measure_student
from distill.params.given import GivenSettings
from distill.recipes.registry import RECIPES
from distill.sources.files import read_local
from distill.store.codecs.vocabulary import TopK
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.targets.given.logprobs import Vocabulary, join_logprobs, read_logprobs
from distill.targets.given.write import write_given
from distill.targets.verification.integrity import check
from stages.given import main as give
from tests import tiny
from tests.command_line import invoke
from tests.decoders import conversations, decoder
from tests.formulas import inputs_of, loss_of

SETTINGS = GivenSettings.model_validate(
    {"table": "data/raw/answers", "dataset": "talks", "columns": {"id": "id", "logprobs": "logprobs"}}, strict=False
)
K = 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.open(conversations(tmp_path_factory.mktemp("talks") / "talks"))


@pytest.fixture(scope="module")
def teacher():
    return decoder(seed=1)


def answers(dataset: Dataset, teacher: Any) -> list[dict[str, Any]]:
    """What a server says of all training rows: it leaves out the end mark."""
    rows, words = dataset.rows("train"), load_tokenizer(dataset.folder / "tokenizer")
    found = []
    for row, name in enumerate(dataset.own_ids("train") or []):
        labels = torch.from_numpy(rows.labels[rows.offsets[row] : rows.offsets[row + 1]].astype(np.int64))
        with torch.no_grad():
            logs = teacher(**pad_batch(rows, np.array([row]))).logits[0].log_softmax(-1)
        content = []
        for line, label in list(zip(logs, labels, strict=True)):
            if label == UNLABELLED:
                continue
            top = [(words.decode([i]), float(line[i])) for i in line.topk(K).indices.tolist()]
            said = {"token": words.decode([int(label)]), "logprob": float(line[label]), "bytes": None}
            content.append({**said, "top_logprobs": [{"token": word, "logprob": log} for word, log in top]})
        found.append({"id": name, "logprobs": {"content": content[:-1]}})
    return [*found, {"id": "nobody", "logprobs": found[0]["logprobs"]}]


def table(folder: Path, lines: list[dict[str, Any]], name: str = "answers") -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return place


def given(dataset: Dataset, place: Path, folder: Path) -> TargetStore:
    part, k, strangers = join_logprobs(read_logprobs(read_local(place), "answers", SETTINGS), dataset, "answers")
    assert strangers == 1
    folder.mkdir()
    write_given(folder, dataset, {"train": part}, SETTINGS, k)
    return TargetStore.open(folder)


def test_what_a_server_gives_is_what_is_kept_and_of_what_it_leaves_out_the_text_itself(dataset, teacher, tmp_path):
    store = given(dataset, table(tmp_path, answers(dataset, teacher)), tmp_path / "set")
    assert not check(tmp_path / "set").problems
    rows, reader = dataset.rows("train"), store.output("likeliest", "train")
    codec = reader.codec
    for row in range(len(rows)):
        labels = torch.from_numpy(rows.labels[rows.offsets[row] : rows.offsets[row + 1]].astype(np.int64))
        with torch.no_grad():
            logits = teacher(**pad_batch(rows, np.array([row]))).logits[0]
        exact = logits[labels != UNLABELLED].double().softmax(-1)
        found, said = codec.shares(reader.gather(reader.locate(rows.ids[row][None]))), labels[labels != UNLABELLED]
        torch.testing.assert_close(found[-1], functional.one_hot(said[-1], found.shape[1]).double(), atol=1e-4, rtol=0)
        for kept, line, label in zip(found[:-1], exact[:-1], said[:-1], strict=True):
            known = sorted({*line.topk(K).indices.tolist(), int(label)})
            torch.testing.assert_close(kept[known], line[known], rtol=1e-2, atol=1e-4)
            assert float(kept.sum()) == pytest.approx(1, abs=1e-5)


def test_students_learn_from_it_by_the_forward_kl_alone(dataset, teacher, tmp_path):
    store = given(dataset, table(tmp_path, answers(dataset, teacher)), tmp_path / "set")
    entry = {"recipe": "divergence", "dataset": "talks", "targets": "talks", "init": {"from": "data/inits/x"}}

    def objective(student: Any, **more: Any) -> tuple[Any, Collator]:
        settings = RECIPES["divergence"].model_validate({**entry, **more}, strict=False)
        return objective_and_rows(settings, student, dataset, store)

    student = decoder("llama", layers=1, vocab_size=dataset.vocabulary + 3)  # a model may have more words than its tokenizer
    made, collator = objective(student)
    batch = collator([0, 3, 5])
    loss, _ = loss_of(made, student, batch)
    logits = student(**inputs_of(batch)).logits[batch["labels"] != UNLABELLED]
    kept = batch["targets"]["likeliest"]
    k = kept.shape[1] // 2
    logs = logits.log_softmax(-1)
    expected = []
    for line, own in zip(kept, logs, strict=True):
        p = {int(i): float(log.exp()) for i, log in zip(line[:k], line[k:-1], strict=True) if log.exp() > 0}
        rest = float(line[-1].exp())
        others = torch.stack([own[i] for i in range(len(own)) if i not in {int(i) for i in line[:k]}]).logsumexp(0)
        pairs = [(share, own[i]) for i, share in p.items()] + ([(rest, others)] if rest > 0 else [])
        expected.append(sum(share * (np.log(share) - log) for share, log in pairs))
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="divergence: reverse-kl asks for the whole distribution"):
        objective(student, divergence="reverse-kl")
    with pytest.raises(UserError, match="chooses among 40 words"):
        objective(decoder(layers=1, vocab_size=40))


def broken(change: Any) -> Any:
    def apply(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        change(lines)
        return lines

    return apply


def in_json(lines: list[dict[str, Any]], change: Any) -> list[dict[str, Any]]:
    change()
    for line in lines:
        line["logprobs"] = json.dumps(line["logprobs"])
    return lines


def first(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return lines[0]["logprobs"]["content"][0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda lines: lines.pop(0), r"1 of \d+ training rows have no answer: 'train-\d+'; add them, or drop these rows"),
        (
            lambda lines: first(lines).update(token="w39"),
            "token 0 of the answer is 'w39', its row has 'w.' there; take the token",
        ),
        (lambda lines: first(lines).update(logprob=0.5), "row 0: token 0 has the logprob 0.5, expected a number up to 0"),
        (lambda lines: first(lines)["top_logprobs"][0].update(logprob=None), "row 0: token 0 has the logprob None"),
        (
            lambda lines: [each.update(logprob=-0.1) for each in first(lines)["top_logprobs"]],
            r"add up to 4\.\d+, expected at most 1",
        ),
        (lambda lines: first(lines).update(token="token_id:abc"), "token 0 of the answer is 'token_id:abc', its row has 'w"),
        (lambda lines: first(lines).update(token="token_id:99"), "token 0 of the answer is 'token_id:99', its row has 'w"),
        (lambda lines: first(lines)["top_logprobs"][0].update(bytes=[300]), r"row 0: token 0 has the bytes \[300\], expected"),
        (lambda lines: first(lines).update(bytes=["a"]), r"row 0: token 0 has the bytes \['a'\], expected numbers from 0 to 255"),
        (
            lambda lines: in_json(lines, lambda: first(lines).update(top_logprobs={"w1": -0.1})),
            "row 0: token 0 has the top_logprobs {.*, expected a list",
        ),
        (lambda lines: lines[0].update(id="0"), "training rows have no answer: 'train-0'; add them, or drop these rows"),
        (
            lambda lines: in_json(lines, lambda: None)[0].update(logprobs=""),
            "training rows have no answer: 'train-0'; add them, or drop these rows",
        ),
        (lambda lines: lines[0].update(logprobs={"content": []}), "expected `content`, a list of tokens with logprob"),
        (lambda lines: lines.append(lines[0]), "the id 'train-0' is that of answers: rows: row 0 too; drop one"),
    ],
)
def test_answers_that_do_not_fit_are_refused(dataset, teacher, tmp_path, change, complaint):
    lines = answers(dataset, teacher)
    change(lines)
    with pytest.raises(UserError, match=complaint):
        join_logprobs(read_logprobs(read_local(table(tmp_path, lines)), "answers", SETTINGS), dataset, "answers")


def test_of_what_no_word_is_the_mass_is_among_others(dataset, teacher, tmp_path):
    lines = answers(dataset, teacher)
    first(lines)["top_logprobs"] = [{"token": f"token_id:{each}", "logprob": -3.0} for each in ("abc", "99", "-1")]
    content = read_logprobs(read_local(table(tmp_path, lines)), "answers", SETTINGS)
    (part, _, _), said = join_logprobs(content, dataset, "answers"), first(lines)["logprob"]
    k = part.logits.shape[1] // 2
    np.testing.assert_allclose(part.logits[0, k], said, atol=1e-6)
    np.testing.assert_allclose(np.exp(part.logits[0, -1]), 1 - np.exp(said), atol=1e-6)


def test_an_id_of_several_splits_of_a_table_is_that_of_train(dataset, teacher, tmp_path):
    place = table(tmp_path, lines := answers(dataset, teacher))
    (place / "rows.jsonl").rename(place / "train.jsonl")
    other = [{"id": line["id"], "logprobs": lines[-1]["logprobs"]} for line in lines[1:]]
    (place / "another.jsonl").write_text("".join(json.dumps(line) + "\n" for line in other), encoding="utf-8")
    part, _, strangers = join_logprobs(read_logprobs(read_local(place), "answers", SETTINGS), dataset, "answers")
    assert (len(part.positions), strangers) == (len({bytes(each) for each in dataset.rows("train").ids}), 1)


TEXT = "Grüße an die Welt — 你好, 🦊! The quick brown fox"


def test_words_are_found_by_their_bytes_or_ids_whatever_the_tokenizer():
    core = ByteLevelBPETokenizer()
    core.train_from_iterator([TEXT] * 3, vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False)
    words = Vocabulary(PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, eos_token="<|endoftext|>"))
    ids = words.tokenizer(TEXT)["input_ids"]
    pieces = [next(piece for piece, identity in words._ids.items() if identity == each) for each in ids]
    assert b"".join(pieces).decode().strip() == TEXT
    assert [words.find({"token": "?", "bytes": list(piece)}) for piece in pieces] == ids
    assert words.find({"token": f"token_id:{ids[0]}"}) == ids[0]
    assert words.find({"token": "<|endoftext|>"}) == 0
    assert words.find({"token": "nothing like this"}) is None
    pieced = Tokenizer(BPE({"<unk>": 0, "<0x0A>": 1, "▁fox": 2, "fox": 3, "<0x31>": 4, "1": 5}, [], unk_token="<unk>"))
    pieced.decoder = decoders.Metaspace()
    words = Vocabulary(PreTrainedTokenizerFast(tokenizer_object=pieced, unk_token="<unk>"))
    assert [words.find({"token": text, "bytes": None}) for text in (" fox", "fox", "\n", "1")] == [2, 3, 1, 5]


def test_the_codec_keeps_as_many_words_as_any_token_has(dataset, teacher, tmp_path):
    store = given(dataset, table(tmp_path, answers(dataset, teacher)), tmp_path / "set")
    assert isinstance(store.output("likeliest", "train").codec, TopK)
    assert store.manifest("likeliest").codec == f"top-{K + 1}"
    assert store.manifest("likeliest").width == dataset.vocabulary


def test_the_stage_writes_the_set_and_a_student_is_scored_without_a_teacher(dataset, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "data/raw", answers(dataset, teacher))
    shutil.copytree(dataset.folder, "data/prepared/talks")
    params = {
        "sources": {"talks": {"path": "talks.jsonl"}, "answers": {"path": "answers.jsonl"}},
        "datasets": {
            "talks": {
                **{"source": "talks", "task": "causal-lm", "columns": {"messages": "messages", "id": "id"}},
                "tokenizer": {"path": "x"},
            }
        },
        "given": {"api": SETTINGS.model_dump(include={"table": True, "dataset": True, "columns": {"id", "logprobs"}})},
    }
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(params, file)
    done = invoke(give, "api")
    assert done.returncode == 0, done.stderr
    record = json.loads(Path("data/runs/given/api.json").read_text(encoding="utf-8"))
    assert record["splits"]["train"]["answered"] == record["splits"]["train"]["rows"]
    assert record["strangers"] == 1
    assert len(pq.read_table("data/audits/api.parquet")) == 0
    place = tiny.save(decoder(layers=1), tmp_path / "student", load_tokenizer(dataset.folder / "tokenizer"))
    found, detail, judged = measure_student(place, dataset, TargetStore.open(Path("data/targets/api")), (1,))
    assert {"likelihood", "exact_match", "score_low"} <= set(found)
    assert not {"retention", "agreement", "kl_from_teacher"} & set(found)
    assert len(detail.continuations) == 8
    assert ("test", "teacher") not in judged
    planned = invoke(main, "plan", "api")
    assert planned.returncode == 0, planned.stderr
    count = record["splits"]["train"]["rows"]
    assert f"answers for {count} of {count} train rows" in planned.stdout
