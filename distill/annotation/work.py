"""What an annotator is to do: its rows, its labels and its examples, or a line that says why that cannot be."""

from pathlib import Path

import numpy as np

from distill.annotation.annotator import Annotator
from distill.annotation.forms import Form
from distill.annotation.prompts import Texts, few_shot, rows_of
from distill.annotation.responses import Responses
from distill.annotation.select import DESCRIPTION
from distill.annotation.table import dataset_of, read_texts
from distill.core.errors import UserError
from distill.core.validation import nearest
from distill.data.dataset import Dataset
from distill.params.annotators import ANNOTATED, AnnotatorSettings


def open_work(settings: AnnotatorSettings, responses: Responses, where: str) -> tuple[Annotator, dict[str, list[Texts]], str]:
    """The annotator, the texts of each split, each once, and the name of the data set that they are of."""
    place = Path(settings.rows)
    name = dataset_of(settings.rows, DESCRIPTION)
    dataset = Dataset.open(Path("data/prepared", name))
    if dataset.task not in ANNOTATED:
        raise UserError(f"{where}.rows: '{name}' is for {dataset.task}; a language model labels rows of {' or '.join(ANNOTATED)}")
    for label in settings.descriptions:
        if label not in dataset.labels:
            raise UserError(f"{where}.descriptions: '{name}' has no label '{label}'{nearest(label, dataset.labels)}")
    chosen = place.parent.name == "selections"
    rows: dict[str, list[Texts]] = {
        split: read_texts(place, split) if chosen else rows_of(dataset, split)
        for split in (("train",) if chosen else settings.splits)
    }
    examples = few_shot(dataset, settings.examples, settings.seed)
    if len(examples) < settings.examples:
        raise UserError(f"{where}.examples: '{name}' has {len(examples)} labelled training rows, expected {settings.examples}")
    known = {texts for texts, _ in examples}
    rows = {split: _sample(list(dict.fromkeys(t for t in texts if t not in known)), settings) for split, texts in rows.items()}
    return Annotator(settings, Form(dataset.labels, dataset.task == "multi-label"), examples, responses), rows, name


def _sample(texts: list[Texts], settings: AnnotatorSettings) -> list[Texts]:
    if settings.limit is None or len(texts) <= settings.limit:
        return texts
    chosen = np.random.default_rng(settings.seed).permutation(len(texts))[: settings.limit]
    return [texts[row] for row in sorted(chosen.tolist())]
