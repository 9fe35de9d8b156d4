"""Predictions are what the model says, in order, from any kind of file, torch or ONNX."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner, Result
from seqeval.metrics.sequence_labeling import get_entities
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertTokenizerFast,
    DistilBertTokenizerFast,
    PreTrainedTokenizerBase,
    RobertaTokenizerFast,
)

from distill.commands.predict import main
from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.rows import Rows
from distill.export.export import write_export
from distill.models.generation import continue_greedily
from distill.models.loading import load_for, save_model, set_labels
from distill.models.predict import predict
from distill.params.exports import ExportSettings
from distill.params.task_specs import TASK_SPECS
from distill.prediction.answers import _round, entities
from distill.prediction.encoding import Tokens, open_encoder
from distill.prediction.model import open_model
from distill.preparation.prepare import make_rows, write_dataset
from distill.preparation.windows import encode_questions
from distill.tasks.base import EvaluationSplit
from distill.tasks.question_answering import best_answers
from distill.tasks.ranking import scored_groups
from distill.tasks.registry import task_of
from tests import decoders, tiny
from tests.export.test_scores import model_of

TEXTS = ["w1 w2 w3", "w7", "w4 w4 w9 w1 w30"]
PIECES = dict(zip(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "ab", "##c", "##a", ".", "é"], range(12), strict=True))
BYTES = dict(zip(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "c", "Ġ", "Ġa", "."], range(11), strict=True))
TOKENIZERS = {
    "bert": lambda: BertTokenizerFast(vocab=PIECES),
    "untyped": lambda: DistilBertTokenizerFast(vocab=PIECES),
    "cased, cut on the left": lambda: BertTokenizerFast(vocab=PIECES, do_lower_case=False, truncation_side="left"),
    "roberta": lambda: RobertaTokenizerFast(vocab=BYTES, merges=[("Ġ", "a")], add_prefix_space=True),
    "words": tiny.masking_tokenizer,
}
ONNX_ALONE = """
import sys
from click.testing import CliRunner
from distill.commands.predict import main
result = CliRunner().invoke(main, [sys.argv[1], *sys.argv[3:]], input=sys.argv[2], catch_exceptions=False)
print(result.stdout, *{"torch", "transformers", "scipy", "sklearn", "pandas", "datasets"} & set(sys.modules))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By task a folder of `model` and `export`: read only."""
    root = tmp_path_factory.mktemp("predicted")
    for task in (*tiny.TASKS, tiny.EMBEDDING):
        dataset = Dataset.open(tiny.prepare_task(root / task / "prepared", task))
        model_of(task, dataset, root / task / "model")
        (root / task / "export").mkdir()
        write_export(root / task / "export", *load_for(root / task / "model", dataset), dataset, ExportSettings())
    return {task: root / task for task in (*tiny.TASKS, tiny.EMBEDDING)}


def run(*arguments: object, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)


def predicted(*arguments: object, given: str | bytes | None = None) -> list[dict[str, Any]]:
    result = run(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(task: str) -> list[dict[str, Any]]:
    names = {"token-classification": ("tokens",)}.get(task, TASK_SPECS[task].inputs)
    found = [{name: row[name] for name in names} for row in tiny.raw(task, 5, 7).to_pylist()]
    if task == "masked-lm":
        found = [{"text": " ".join(["[MASK]", *row["text"].split()[:6], "[MASK]"])} for row in found]
    return found


@pytest.mark.parametrize("task", [*tiny.TASKS, tiny.EMBEDDING])
def test_torch_and_onnx_answer_alike_whatever_the_file_and_the_batch(task: str, folders: dict[str, Path], tmp_path: Path) -> None:
    content = rows(task)
    lines = "".join(json.dumps(row) + "\n" for row in content)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    pa.parquet.write_table(pa.Table.from_pylist(content), tmp_path / "rows.parquet")
    expected = predicted(folders[task] / "model", given=lines)
    assert len(expected) == len(content)
    require_near(predicted(folders[task] / "model", tmp_path / "rows.parquet", "--batch-size", 2), expected)
    for place in ("export", "export/model.onnx"):
        require_near(predicted(folders[task] / place, tmp_path / "rows.jsonl", "--threads", 1), expected)
    assert len(predicted(folders[task] / "export" / "model-int8.onnx", tmp_path / "rows.jsonl")) == len(content)


def test_columns_that_are_not_read_are_said_once_and_another_can_be_taken(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("body,text,label\nw1,w9,0\nw2,w9,1\n", encoding="utf-8")
    model, file = folders["sequence-classification"] / "export", tmp_path / "rows.csv"
    done = run(model, file)
    advice = "--column text=NAME takes another column"
    assert (done.exit_code, done.stderr) == (0, f"{file}: reads 'text', and does not read 'body', 'label'; {advice}\n")
    plain = run(model, given="w1\nw2\n")
    assert plain.stderr == ""
    assert run(model, file, "--column", "text=body").stdout == plain.stdout != done.stdout
    file.write_text("text,label\n,0\nw1,1\n", encoding="utf-8")  # after a bad row too
    assert run(model, file).stderr.count(f"{file}: reads 'text', and does not read 'label'") == 1


@pytest.mark.parametrize("column", ["body", "text=", "=body", "label=text", "text"])
def test_what_names_no_column_is_refused_with_what_the_task_reads(folders: dict[str, Path], column: str) -> None:
    done = run(folders["sequence-classification"] / "export", "--column", column, given="w1\n")
    expected = "NAME=COLUMN, where NAME is one of text, text_pair, such as text=body"
    assert (done.exit_code, done.stderr) == (1, f"error: --column {column.removesuffix('=')}: expected {expected}\n")


@pytest.mark.parametrize("task", ["sequence-classification", "question-answering"])
def test_an_onnx_file_is_answered_without_torch_and_its_like(task: str, folders: dict[str, Path], tmp_path: Path) -> None:
    file, given = folders[task] / "export" / "model-int8.onnx", json.dumps(rows(task)[0])
    done = subprocess.run([sys.executable, "-c", ONNX_ALONE, file, given], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == predicted(file, given=given)[0], done.stderr


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    TOKENIZERS[name]().save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(1)
    words = ["a", "ab", "abc", "É.", "w1", tokenizer.mask_token]
    texts, pairs = ([" ".join(rng.choices(words, k=rng.randint(1, 14))) for _ in range(40)] for _ in range(2))
    encoder = open_encoder(tmp_path)
    assert (encoder.mask_id, encoder.pad_id, encoder.most) == (tokenizer.mask_token_id, tokenizer.pad_token_id, None)
    for seconds in (pairs, [None] * len(texts)):
        for found, text, pair in zip(encoder.encode(texts, seconds, 12), texts, seconds, strict=True):
            require_tokens_of(tokenizer, found, text, pair)
    rows = Rows(texts, pairs, np.full(len(texts), None), np.arange(len(texts)))
    for stride in (None, 1):
        found, expected = encoder.windows(texts, pairs, 17, stride), encode_questions(tokenizer, rows, 17, stride).columns
        assert [window.row for window in found] == expected["example"]
        for field, key in {"ids": "input_ids", "types": "token_type_ids", "spans": "spans"}.items():
            made = [getattr(window, field) for window in found]
            assert [one is None for one in made] == [key not in expected] * len(found)
            assert all(np.array_equal(one, row) for one, row in zip(made, expected.get(key, []), strict=False))
    assert len(encoder.windows(texts, pairs, 17, 1)) < len(encoder.windows(texts, pairs, 17, 99))


def require_tokens_of(tokenizer: PreTrainedTokenizerBase, found: Tokens, text: str, pair: str | None) -> None:
    """The same ids, types and characters; whether it was cut."""
    expected = tokenizer(text, pair, truncation=True, max_length=12, return_offsets_mapping=True)
    assert found.ids.tolist() == expected["input_ids"]
    assert found.spans.tolist() == [list(span) for span in expected["offset_mapping"]]
    assert found.cut == (len(tokenizer(text, pair)["input_ids"]) > 12)
    types = None if pair is None else expected.get("token_type_ids")
    assert (None if found.types is None else found.types.tolist()) == types


def test_a_folder_without_tokenizer_json_is_read_by_transformers(tmp_path: Path) -> None:
    TOKENIZERS["bert"]().save_pretrained(tmp_path)
    pairs = (["ab a", "abc"], ["É.", None], 9)
    expected = list(map(str, open_encoder(tmp_path).encode(*pairs)))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    assert list(map(str, open_encoder(tmp_path).encode(*pairs))) == expected
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="no usable tokenizer"):
        open_encoder(tmp_path)


def test_entities_are_those_of_seqeval() -> None:
    rng = random.Random(1)
    for _ in range(500):
        tags = [rng.choice(["O", "O", *(f"{place}-{kind}" for place in "BIES" for kind in ("x", "y-z"))]) for _ in range(8)]
        assert list(entities(tags)) == get_entities(tags)


@pytest.mark.parametrize("template", [decoders.TEMPLATE, None])
def test_of_a_model_of_conversations_it_is_said_that_texts_are_no_turns(tmp_path: Path, template: str | None) -> None:
    dataset = Dataset.open(decoders.conversations(tmp_path / "rows", (12, 4, 4)).resolve())
    save_model(tmp_path / "model", decoders.decoder(), decoders.tokenizer(chat_template=template), dataset)
    result = run(tmp_path / "model", given="w1 w2")
    assert list(json.loads(result.stdout)) == ["continuation", "finished"]
    said = "has learnt from conversations, and goes on with texts as they stand; give {"
    assert (said in result.stderr) == (template is not None)


def test_a_decoder_ends_where_its_own_settings_say_so(tmp_path: Path) -> None:
    model, tokenizer = decoders.decoder(), decoders.tokenizer()
    prompt = tokenizer("w1 w2")["input_ids"]
    endless = continue_greedily(model, prompt, 16, 0)
    end = next(token for place, token in enumerate(endless) if place > 0 and token not in endless[:place])
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, end]
    dataset = Dataset.open(decoders.conversations(tmp_path / "rows", (12, 4, 4)).resolve())
    save_model(tmp_path / "model", model, tokenizer, dataset)
    (found,) = predicted(tmp_path / "model", given="w1 w2")
    assert found["finished"]
    assert found["continuation"] == tokenizer.decode(continue_greedily(model, prompt, 16, 0), skip_special_tokens=True)


def test_a_bad_row_of_a_table_is_named_by_its_number_and_a_bad_line_by_its_line(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('text,other\n"w1\nw2",a\n,b\n', encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "w1"}\n{"text": ""}\n', encoding="utf-8")
    for name, place in (("rows.csv", "row 2"), ("rows.jsonl", "line 2")):
        result = run(folders["sequence-classification"] / "model", tmp_path / name)
        assert f"error: {tmp_path / name}: {place}: text: got ''" in result.stderr


@pytest.mark.parametrize("template", [decoders.TEMPLATE, None])
def test_conversations_are_read_in_the_tokens_of_rows_to_train_on(tmp_path: Path, template: str | None) -> None:
    tokenizer = decoders.tokenizer(chat_template=template)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 2)])
    turns = [{"role": "user", "content": "w1 w2 "}, {"role": "assistant", "content": "w5 w6"}]
    settings = tiny.settings("causal-lm", columns={"messages": "messages"}, max_length=16)
    rows, labels = make_rows(
        dict.fromkeys(("train", "validation", "test"), pa.table({"messages": [turns] * 4})), "tiny", settings
    )
    (tmp_path / "rows").mkdir()
    write_dataset(tmp_path / "rows", rows, labels, settings, tokenizer)
    dataset = Dataset.open(tmp_path / "rows")
    model = decoders.decoder()
    save_model(tmp_path / "model", model, tokenizer, dataset)
    row = dataset.rows("test")
    prompt = row.tokens[: int(np.flatnonzero(row.labels != UNLABELLED)[0]) + 1].tolist()
    said = tokenizer.decode(continue_greedily(model, prompt, 16, row.pad_token), skip_special_tokens=True)
    lines = [{"messages": turns[:1]}, {"messages": [{"from": "human", "value": "w1 w2 "}]}, {"prompt": "w1 w2", "response": "w9"}]
    found = predicted(tmp_path / "model", given="\n".join(map(json.dumps, lines)))
    assert found == [found[0]] * 3
    assert found[0]["continuation"].startswith(said)
    bad = [
        ({"messages": turns}, "messages: ends with a turn of 'assistant'; leave it out"),
        ({"messages": "w1"}, "messages: holds 'w1', expected a list of {role"),
        ({"prompt": 3}, "prompt: got 3, expected text"),
    ]
    if template is None:
        bad.append(({"messages": [*turns, *turns[:1]]}, "its tokenizer has no chat template"))
    result = run(tmp_path / "model", given="\n".join(json.dumps(line) for line, _ in bad))
    for answer, (_, told) in zip(map(json.loads, result.stdout.splitlines()), bad, strict=True):
        assert answer["error"].startswith(told)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("U-x U-x O", [("x", 0, 0), ("x", 1, 1)]),
        ("B-x L-x U-x B-x I-x L-x", [("x", 0, 1), ("x", 2, 2), ("x", 3, 5)]),
        ("B-x M-x E-x W-x W-x", [("x", 0, 2), ("x", 3, 3), ("x", 4, 4)]),
    ],
)
def test_entities_of_a_model_whose_tags_are_bilou_or_bmes_are_told_apart(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(entities(tags.split())) == found


def require_near(found: Any, expected: Any) -> None:
    """Answers of one form, with the same words and numbers that are near."""
    assert type(found) is type(expected)
    if isinstance(found, (dict, list)):
        assert len(found) == len(expected)
        for key in found if isinstance(found, dict) else range(len(found)):
            require_near(found[key], expected[key])
    else:
        assert found == (pytest.approx(expected, abs=1e-4) if isinstance(found, float) else expected)


def test_pairs_are_told_from_single_texts(folders: dict[str, Path], tmp_path: Path) -> None:
    """Of a model that does not say which of them it has learnt from."""
    place = learnt_from(None, folders, tmp_path)
    lines = [json.dumps({"text": text, "text_pair": pair}) for text in TEXTS for pair in (None, "w3 w5")]
    found = predicted(place, given="\n".join(lines))
    alone = [predicted(place, given=line)[0]["score"] for line in lines]
    assert [row["score"] for row in found] == pytest.approx(alone, abs=1e-5)
    assert len({row["score"] for row in found}) == len(lines)


def learnt_from(pairs: bool | None, folders: dict[str, Path], folder: Path) -> Path:
    """A model whose config says so."""
    place = shutil.copytree(folders["regression"] / "export", folder / str(pairs))
    config = json.loads((place / "config.json").read_text())
    config.pop("reads_pairs", None)
    (place / "config.json").write_text(json.dumps(config | ({} if pairs is None else {"reads_pairs": pairs})))
    return place


@pytest.mark.parametrize(
    ("pairs", "told"), [(True, "text_pair: is missing"), (False, "text_pair: got 'w3'; the model has learnt")]
)
def test_a_row_that_lacks_its_pair_or_has_one_too_many_is_refused(
    pairs: bool, told: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    place = learnt_from(pairs, folders, tmp_path)
    both = [json.dumps({"text": "w1"} | ({"text_pair": "w3"} if paired else {})) for paired in (pairs, not pairs)]
    result = run(place, given="\n".join(both))
    good, bad = map(json.loads, result.stdout.splitlines())
    assert (result.exit_code, list(good)) == (1, ["score"])
    assert bad["error"].startswith(told)


def test_entities_have_spans_of_the_text_and_the_tags_of_the_model(folders: dict[str, Path], tmp_path: Path) -> None:
    eager = AutoModelForTokenClassification.from_pretrained(folders["token-classification"] / "model")
    eager.classifier.bias.data[eager.config.label2id["O"]] -= 8
    place = tiny.save(eager, tmp_path / "eager", AutoTokenizer.from_pretrained(folders["token-classification"] / "model"))
    text = "  w1,  w30 w5 (w11) w2 w21 w8; w9"
    (found,) = predicted(place, given=text)
    words = ["w1", ",", "w30", "w5", "(", "w11", ")", "w2", "w21", "w8", ";", "w9"]
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    with torch.inference_mode():
        logits = model.eval()(**tokenizer(" ".join(words), return_tensors="pt")).logits[0, 1:-1]
    tags = [model.config.id2label[int(tag)] for tag in logits.argmax(dim=-1)]
    begun = sum(tag != "O" and (i == 0 or tag[0] == "B" or tags[i - 1][2:] != tag[2:]) for i, tag in enumerate(tags))
    assert len(found["entities"]) == begun > 0
    (whole,) = predicted(place, given=json.dumps({"tokens": words}))
    for given, row in ((text, found), (" ".join(words), whole)):
        assert all(part["text"] == given[part["start"] : part["end"]] for part in row["entities"])
    types, others = ([(part["type"], part["probability"]) for part in row["entities"]] for row in (found, whole))
    assert types == others


def test_words_have_the_tags_of_the_model_where_those_name_no_entities(tmp_path: Path) -> None:
    tags = ["NOUN", "VERB", "PUNCT"]
    rows = {"tokens": [["w1", "w2", ","]] * 4, "tags": [tags] * 4}
    settings = tiny.settings("token-classification", max_length=6)
    made, labels = make_rows(dict.fromkeys(("train", "validation", "test"), pa.table(rows)), "tiny", settings)
    tokenizer = tiny.tokenizer([*tiny.WORDS, ","])
    (tmp_path / "prepared").mkdir()
    write_dataset(tmp_path / "prepared", made, labels, settings, tokenizer)
    dataset = Dataset.open(tmp_path / "prepared")
    model = tiny.family("bert", "TokenClassification", vocab_size=dataset.vocabulary)
    set_labels(model.config, labels)
    save_model(tmp_path / "model", model, tokenizer, dataset)
    (tmp_path / "export").mkdir()
    write_export(tmp_path / "export", *load_for(tmp_path / "model", dataset), dataset, ExportSettings())
    with torch.inference_mode():
        chances = model(**tokenizer("w3 , w30 w4", return_tensors="pt")).logits[0, 1:-1].softmax(dim=-1)
    expected = [
        {
            "tag": labels[int(row.argmax())],
            "text": text,
            "start": start,
            "end": start + len(text),
            "probability": float(row.max()),
        }
        for row, (text, start) in zip(chances, (("w3", 0), (",", 2), ("w30", 4), ("w4", 8)), strict=True)
    ]
    unseen = [{"tag": None, "text": "w5", "start": 11, "end": 13, "probability": 0.0}]
    for place in ("model", "export"):
        whole, cut = predicted(tmp_path / place, given="w3, w30 w4\nw3, w30 w4 w5")
        sure = min(word["probability"] for word in expected)
        require_near(whole, {"tags": expected, "confidence": sure})
        require_near(cut, {"tags": expected + unseen, "confidence": sure, "truncated": True})


@pytest.mark.parametrize("task", ["sequence-classification", "multi-label", "token-classification", "ranking"])
def test_what_a_cascade_compares_is_in_the_answer(task: str, folders: dict[str, Path]) -> None:
    dataset = Dataset.open(folders[task] / "prepared")
    split = EvaluationSplit.from_dataset(dataset, "test")
    model, _ = load_for(folders[task] / "model", dataset)
    own = task_of(task)
    kept = own.tuned(predict(model, own, split.rows, "test"), model.config.to_dict())
    texts = dataset.texts("test")
    if task == "token-classification":
        given = [{"tokens": words} for words in texts["words"]]
    elif task == "ranking":
        queries, passages = texts["text"], texts["text_pair"]
        parts = scored_groups(split.rows)
        given = [{"query": queries[part[0]], "passages": [passages[row] for row in part]} for part in parts]
    else:
        given = [{"text": text} for text in texts["text"]]
    found = predicted(folders[task] / "model", given="\n".join(map(json.dumps, given)))
    sure = [answer.get("confidence", answer.get("probability")) for answer in found]
    whole = (
        np.full(len(sure), True) if task == "ranking" else split.rows.lengths < dataset.max_length
    )  # else `prepare` may have cut it
    assert np.array(sure)[whole] == pytest.approx(own.judged(kept, split).confidence[whole], abs=1e-4)


@pytest.mark.parametrize(("stride", "overlap"), [(None, 4), (1, 1)])
def test_contexts_are_read_in_the_windows_that_were_learnt_from(stride: int | None, overlap: int, tmp_path: Path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", "question-answering", max_length=12, stride=stride))
    model_of("question-answering", dataset, tmp_path / "random")
    save_model(tmp_path / "model", *load_for(tmp_path / "random", dataset), dataset)
    model, texts = open_model(tmp_path / "model"), dataset.examples("train")
    assert model.stride == dataset.stride == overlap
    made = model.encoder.windows(texts["question"].to_pylist(), texts["context"].to_pylist(), model.most, model.stride)
    rows = dataset.rows("train")
    assert [window.ids.tolist() for window in made] == [part.tolist() for part in np.split(rows.tokens, rows.offsets[1:-1])]
    assert len(rows) > len(texts)


def test_answers_are_the_likeliest_spans_of_their_contexts(folders: dict[str, Path]) -> None:
    place = folders["question-answering"] / "model"
    content = [{"question": "w1", "context": "w11 w12 w31 w13"}, {"question": "w2", "context": " ".join(tiny.WORDS)}]
    found = predicted(place, given="\n".join(map(json.dumps, content)))
    for row, answer in zip(content, found, strict=True):
        assert answer["answer"] == row["context"][answer["start"] : answer["end"]] != ""
    model, tokenizer = AutoModelForQuestionAnswering.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    with torch.inference_mode():
        outputs = model.eval()(**tokenizer("w1", "w11 w12 w31 w13", return_tensors="pt"))
    starts, ends = outputs.start_logits[0].softmax(-1).numpy(), outputs.end_logits[0].softmax(-1).numpy()
    chances = np.triu(np.outer(starts[3:7], ends[3:7]))
    first, last = np.unravel_index(chances.argmax(), chances.shape)
    assert found[0]["answer"] == " ".join(["w11", "w12", "w31", "w13"][first : last + 1])
    assert found[0]["probability"] == pytest.approx(chances.max(), abs=1e-5)
    assert found[0]["no_answer"] == pytest.approx(starts[0] * ends[0], abs=1e-5)


def test_whether_there_is_an_answer_is_told_as_it_is_scored_over_several_windows(tmp_path: Path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", "question-answering", max_length=12))
    model, tokenizer = load_for(model_of("question-answering", dataset, tmp_path / "random"), dataset)
    split = EvaluationSplit.from_dataset(dataset, "train")
    with torch.no_grad():  # logits as far apart as trained ones, those of the first token among them
        model.qa_outputs.weight.mul_(25)
        states = model.eval().bert(**pad_batch(split.rows, np.arange(64))).last_hidden_state
        first = states[:, 0].mean(dim=0) - states[:, 1:].mean(dim=(0, 1))
        model.qa_outputs.weight.add_(10 * first / (first @ first))
    save_model(tmp_path / "model", model, tokenizer, dataset)
    scored = best_answers(predict(model, task_of(dataset.task), split.rows, "train"), split)
    names = ("question", "context")
    given = "\n".join(
        json.dumps(dict(zip(names, row, strict=True)))
        for row in zip(*(split.examples[n].to_pylist() for n in names), strict=True)
    )
    found = predicted(tmp_path / "model", given=given)
    assert [answer["answer"] if answer["answered"] else "" for answer in found] == [answer.text for answer in scored]
    sure = [answer["probability" if answer["answered"] else "no_answer"] for answer in found]
    assert sure == pytest.approx([answer.confidence for answer in scored], rel=1e-3)
    assert any(answer["answered"] != (answer["probability"] >= answer["no_answer"]) for answer in found)


def test_a_confidence_is_told_however_small() -> None:
    assert [_round(value) for value in (3.7380187e-07, 0.25, np.float32(0.1))] == [3.738019e-07, 0.25, 0.1]


def test_numbers_are_told_however_small(folders: dict[str, Path], tmp_path: Path) -> None:
    place = folders["regression"] / "model"
    model = AutoModelForSequenceClassification.from_pretrained(place)
    small = Path(shutil.copytree(place, tmp_path / "small"))
    for parameter in model.classifier.parameters():
        parameter.data *= 1e-7
    model.save_pretrained(small)
    (whole,), (found,) = (predicted(each, given="w1 w2") for each in (place, small))
    assert found["score"] == pytest.approx(whole["score"] * 1e-7, rel=1e-5)


def test_a_question_that_is_cut_is_said(folders: dict[str, Path]) -> None:
    questions = (" ".join(tiny.WORDS[:count]) for count in (3, 30))
    given = "\n".join(json.dumps({"question": question, "context": "w11 w12 w31"}) for question in questions)
    for place in ("model", "export"):
        assert ["truncated" in row for row in predicted(folders["question-answering"] / place, given=given)] == [False, True]


def test_rows_are_as_long_as_those_that_the_model_was_measured_on(folders: dict[str, Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(folders["sequence-classification"] / "model", tmp_path / "short"))
    found = predicted(place, given="\n".join(["w1 " * 50, "w1"]))
    assert [row.get("truncated", False) for row in found] == [True, False]
    tokenizer = AutoTokenizer.from_pretrained(place)
    tokenizer.model_max_length = 6
    tokenizer.save_pretrained(place)
    exactly, longer, same = predicted(place, given="\n".join(["w1 w2 w3 w4", "w1 w2 w3 w4 w5", "w1 w2 w3 w4 w6 w7"]))
    assert "truncated" not in exactly
    assert longer == same == {**exactly, "truncated": True}


@pytest.mark.parametrize(
    ("task", "line", "complaint"),
    [
        ("sequence-classification", "", "text: got '', expected text"),
        ("sequence-classification", '{"text": 5}', "text: got 5, expected text"),
        ("sequence-classification", '{"text": "w1"', "begins with '{' and is no JSON object"),
        ("sequence-classification", '{"txt": "w1"}', "has txt; expected a row of text, as JSON or from a table"),
        ("sequence-classification", '{"text": "w1 \\ud83d"}', "text: got 'w1 \\ud83d', with half a character"),
        ("token-classification", '{"tokens": ["\\ud83d"]}', "tokens: got '\\ud83d', with half a character"),
        ("regression", '{"text": "w1", "text_pair": ""}', "text_pair: got '', expected text"),
        ("sentence-embedding", '{"text": "w1", "text_pair": "w2"}', "text_pair: got 'w2'; models for sentence-embedding read"),
        ("token-classification", '{"tokens": ["w1", 3]}', "tokens: got ['w1', 3], expected a list of words"),
        ("question-answering", "w1", "has text; expected a row of question and context"),
        ("masked-lm", "w1 w2", "text: got 'w1 w2', expected a text with [MASK]"),
    ],
)
def test_a_bad_line_is_named_and_answered_in_its_place(task: str, line: str, complaint: str, folders: dict[str, Path]) -> None:
    good = json.dumps(rows(task)[0])
    file = folders[task] / "export/model.onnx"
    result = run(file, given=f"{good}\n{line}\n{good}\n")
    first, bad, last = map(json.loads, result.stdout.splitlines())
    assert (result.exit_code, first) == (1, last)
    require_near(first, predicted(file, given=good)[0])
    assert bad["error"].startswith(complaint)
    assert result.stderr.splitlines() == [
        f"error: stdin: line 2: {bad['error']}",
        "error: stdin: 1 bad line, answered with `error`",
    ]


def test_lines_are_utf8_and_a_missing_model_a_missing_file_and_a_model_without_a_task_are_named(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    file = folders["regression"] / "export/model.onnx"
    assert predicted(file, given="\ufeffw1\n".encode()) == predicted(file, given=b"w1\n")
    assert predicted(file, given="") == []
    assert "error: stdin: line 2: byte 1 is no UTF-8" in run(file, given=b"w1\nw\xff\n").stderr
    assert "error: nowhere: no model; expected data/students/NAME" in run("nowhere").stderr
    assert "none.txt: no such file" in run(folders["regression"] / "model", tmp_path / "none.txt").stderr
    tiny.family("bert").bert.save_pretrained(tmp_path / "bare")
    assert "is a BertModel, expected a model ForSequenceClassification" in run(tmp_path / "bare").stderr
