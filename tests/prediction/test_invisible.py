"""Texts and words that become no token are prepared, scored and answered, in every task; no tag moves to another word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset
from distill.evaluation.evaluate import measure_teacher
from distill.models.loading import save_model, set_labels
from distill.prediction.answers import answers
from distill.prediction.model import open_model
from distill.prediction.rows import row_of
from distill.preparation.prepare import make_rows, write_dataset
from distill.tasks.registry import TASKS
from tests import tiny
from tests.scripts import TOKENIZERS, lower_case_pieces

NOTHING = ("\u200d", "\u200b", "\ufeff", "\u00ad", "\x07", "\u0301", "\ufffd")
ROWS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "sequence-classification": lambda none, i: {
        "text": none if i % 2 else f"a {none} b",
        "text_pair": none,
        "label": "ab"[i % 2],
    },
    "multi-label": lambda none, i: {"text": none if i % 2 else f"a {none} b", "label": ["a", "b"][: i % 3]},
    "regression": lambda none, i: {"text": none if i % 2 else f"paris{none}", "label": i / 9},
    "token-classification": lambda none, i: (
        {"tokens": [none], "tags": ["B-x"]}
        if i % 2
        else {"tokens": ["cafe", none, "paris", none], "tags": ["O", "B-x", "B-y", "B-x"]}
    ),
    "question-answering": lambda none, i: {
        "question": none,
        "context": f"{'' if i % 2 else 'the paris'}{none}",
        "answers": {"text": [none if i % 2 else f"paris{none}"], "answer_start": [0 if i % 2 else 4]},
    },
    "masked-lm": lambda none, i: {"text": none if i % 2 else f"cafe {none} [MASK] paris"},
    "ranking": lambda none, i: {"query": none, "passage": none if i % 2 else f"paris{none}", "label": i % 2},
}


def prepared(task: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Dataset:
    table = pa.Table.from_pylist([ROWS[task](none, i) for i, none in enumerate(NOTHING * 3)])
    columns = {"columns": {"text_pair": "text_pair"}} if task == "sequence-classification" else {}
    settings = tiny.settings(task, max_length=24, **columns)
    rows, labels = make_rows(dict.fromkeys(("train", "validation", "test"), table), "tiny", settings)
    folder.mkdir()
    write_dataset(folder, rows, labels, settings, tokenizer)
    return Dataset.open(folder)


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("make", TOKENIZERS)
def test_rows_of_nothing_are_scored_and_answered(make: Callable[[], PreTrainedTokenizerFast], task: str, tmp_path: Path) -> None:
    tokenizer = make()
    dataset = prepared(task, tmp_path / "prepared", tokenizer)
    more = {"num_labels": len(dataset.labels)} if dataset.labels else {}
    model = tiny.family("bert", TASKS[task].spec.head, vocab_size=dataset.vocabulary, **more)
    if dataset.labels:
        set_labels(model.config, dataset.labels)
    save_model(tmp_path / "model", model, tokenizer, dataset)
    scores, _ = measure_teacher(tmp_path / "model", dataset)
    assert np.isfinite(scores[dataset.metric])
    opened = open_model(tmp_path / "model")
    rows = [row_of(ROWS[task](none, i), task) for none in NOTHING for i in range(2) if i == 0 or task != "masked-lm"]
    if task == "token-classification":
        rows += [row_of(none, task) for none in NOTHING]
    assert len(answers(opened, rows)) == len(rows)


@pytest.mark.parametrize("make", TOKENIZERS)
def test_a_word_of_nothing_moves_no_tag(make: Callable[[], PreTrainedTokenizerFast], tmp_path: Path) -> None:
    tokenizer = make()
    rows = prepared("token-classification", tmp_path / "prepared", tokenizer).rows("train")
    for row in range(0, len(rows), 2):
        part = slice(rows.offsets[row], rows.offsets[row + 1])
        tagged = [
            (token, label) for token, label in zip(rows.tokens[part], rows.labels[part], strict=True) if label != UNLABELLED
        ]
        first = {label: tokenizer.decode([token]).strip(" ▁") for token, label in tagged if label != 1}
        assert "cafe".startswith(first[0]), first
        assert "paris".startswith(first[2]), first


def test_rows_without_any_token_are_refused_by_number(tmp_path: Path) -> None:
    bare = lower_case_pieces()
    bare.backend_tokenizer.post_processor = None
    for task in ("regression", "token-classification", "question-answering"):
        with pytest.raises(UserError, match=r"row 1: its text becomes no token; drop it, or take"):
            prepared(task, tmp_path / task, bare)


def test_a_text_without_any_token_is_answered_by_one_line(tmp_path: Path) -> None:
    bare = lower_case_pieces()
    bare.backend_tokenizer.post_processor = None
    for task in ("regression", "question-answering"):
        head = {"num_labels": 1} if task == "regression" else {}
        tiny.save(tiny.family("bert", TASKS[task].spec.head, vocab_size=300, **head), tmp_path / task, bare)
        rows = [row_of({"text": "\u200d", "question": "\u200d", "context": "\u200d"}, task)]
        with pytest.raises(UserError, match="a text becomes no token"):
            answers(open_model(tmp_path / task), rows)
