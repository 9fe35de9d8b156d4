"""Data sets as the hub has them: their splits, columns and class names, with a few made-up rows."""

import random
from typing import Any

import datasets
import pyarrow as pa
from datasets import ClassLabel, Features, List, Value

from tests.tiny import WORDS

TEXT, NUMBER = Value("string"), Value("int32")
PAIR = {"sentence1": TEXT, "sentence2": TEXT}
ENTAILED = ClassLabel(names=["entailment", "not_entailment"])
GLUE: dict[str, dict[str, Any]] = {
    "cola": {"sentence": TEXT, "label": ClassLabel(names=["unacceptable", "acceptable"])},
    "sst2": {"sentence": TEXT, "label": ClassLabel(names=["negative", "positive"])},
    "mrpc": {**PAIR, "label": ClassLabel(names=["not_equivalent", "equivalent"])},
    "stsb": {**PAIR, "label": Value("float32")},
    "qqp": {"question1": TEXT, "question2": TEXT, "label": ClassLabel(names=["not_duplicate", "duplicate"])},
    "mnli": {"premise": TEXT, "hypothesis": TEXT, "label": ClassLabel(names=["entailment", "neutral", "contradiction"])},
    "qnli": {"question": TEXT, "sentence": TEXT, "label": ENTAILED},
    "rte": {**PAIR, "label": ENTAILED},
    "wnli": {**PAIR, "label": ClassLabel(names=["not_entailment", "entailment"])},
}
SQUAD = {
    "id": TEXT,
    "title": TEXT,
    "context": TEXT,
    "question": TEXT,
    "answers": {"text": List(TEXT), "answer_start": List(NUMBER)},
}
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
COLUMNS: dict[str, dict[str, Any]] = {
    **{f"nyu-mll/glue/{name}": {**columns, "idx": NUMBER} for name, columns in GLUE.items()},
    "rajpurkar/squad": SQUAD,
    "rajpurkar/squad_v2": SQUAD,
    "eriktks/conll2003": {"id": TEXT, "tokens": List(TEXT), "ner_tags": List(ClassLabel(names=TAGS))},
    "google-research-datasets/go_emotions/simplified": {
        "text": TEXT,
        "labels": List(ClassLabel(names=["joy", "anger", "fear", "neutral"])),
        "id": TEXT,
    },
    "clinc/clinc_oos/plus": {"text": TEXT, "intent": ClassLabel(names=["translate", "transfer", "oos"])},
    "mteb/banking77": {"text": TEXT, "label": NUMBER, "label_text": TEXT},
    "microsoft/wiki_qa": {
        "question_id": TEXT,
        "question": TEXT,
        "document_title": TEXT,
        "answer": TEXT,
        "label": ClassLabel(num_classes=2),
    },
    "Salesforce/wikitext/wikitext-103-raw-v1": {"text": TEXT},
    "HuggingFaceH4/ultrachat_200k": {"prompt": TEXT, "prompt_id": TEXT, "messages": List({"content": TEXT, "role": TEXT})},
}
MATCHED = ("validation_matched", "validation_mismatched", "test_matched", "test_mismatched")
SPLITS = {
    "nyu-mll/glue/mnli": ("train", *MATCHED),
    "rajpurkar/squad": ("train", "validation"),
    "rajpurkar/squad_v2": ("train", "validation"),
    "mteb/banking77": ("train", "test"),
    "HuggingFaceH4/ultrachat_200k": ("train_sft", "test_sft", "train_gen", "test_gen"),
}
"""Those of the others are train, validation and test."""
ROWS = {"train": 200, "train_sft": 200}


def tables(place: str) -> dict[str, pa.Table]:
    """The splits of a data set by name, or NAME/CONFIG; GLUE's test rows have no labels, as on the hub."""
    found = {}
    for split in SPLITS.get(place, ("train", "validation", "test")):
        unlabelled = "glue" in place and split.startswith("test")
        rng = random.Random(f"{place} {split}")
        rows = [_row(COLUMNS[place], number, unlabelled, "v2" in place, rng) for number in range(ROWS.get(split, 30))]
        dataset = datasets.Dataset.from_list(rows, features=Features(COLUMNS[place]))
        found[split] = dataset.data.table
    return found


def _row(columns: dict[str, Any], number: int, unlabelled: bool, unanswerable: bool, rng: random.Random) -> dict[str, Any]:
    words = [rng.choice(WORDS) for _ in range(8)]
    row = {name: _value(name, kind, words, number, unlabelled, unanswerable, rng) for name, kind in columns.items()}
    asked = {"question_id": f"Q{number // 4}", "question": f"w{number // 4} w1"}
    return row | (asked if "question_id" in columns else {})


def _value(name: str, kind: Any, words: list[str], number: int, unlabelled: bool, unanswerable: bool, rng: random.Random) -> Any:
    if name == "answers":
        none = unanswerable and number % 2
        return {"text": [] if none else [words[0]], "answer_start": [] if none else [0]}
    if name == "messages":
        return [{"content": " ".join(words), "role": role} for role in ("user", "assistant") * (1 + number % 2)]
    if name == "context":
        return " ".join(words)
    if name in ("id", "title", "label_text"):
        return f"{name} {number % 5 if name == 'label_text' else number}"
    if isinstance(kind, List):
        return words if kind.feature == TEXT else [rng.choice((0, 1, 3)) for _ in words]
    if isinstance(kind, ClassLabel):
        return -1 if unlabelled else number % len(kind.names)
    if kind == TEXT:
        return " ".join(rng.choice(WORDS) for _ in range(6))
    return -1 if unlabelled else number % 5
