"""Columns that are not read and that change what the rows mean: they are named, for nothing else tells that they are missing."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from distill.core.console import print_result
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.column_names import same_name

PAIR = "text_pair"
ASKED = (
    r"input|context|system|system_prompt|history|tools|functions",
    "what it says is in no prompt; put it into the file's prompts",
)
TALKED = (r"system|system_prompt|tools|functions", "what it says is in no conversation; write it as a turn of 'system'")
TOKENS = (
    r"labels|loss_mask|attention_mask|completion_mask|assistant_masks?",
    "all tokens of a row but the first are learnt, whatever it says; cut padding off, or give conversations (columns.messages)",
)
NEGATIVES = (r"(hard_)?neg(ative)?s?(_?\w{0,2})?", "its texts are in no row; {rows}")


def tell_unread(folder: Path, names: Sequence[str], wanted: set[str], settings: DatasetSettings) -> None:
    """Say which of the columns of the training rows are not read; `wanted` are those that are, as `same_name` has them."""
    columns = settings.columns
    if PAIR in TASK_SPECS[settings.task].columns and columns.text_pair is None and PAIR in names:
        print_result(f"{folder}: its column '{PAIR}' is not read; `columns: {{{PAIR}: {PAIR}}}` makes pairs of its rows")
    unread = {name: same_name(name) for name in names if same_name(name) not in wanted}
    for pattern, advice in _meant(settings):
        for name, read in unread.items():
            if re.fullmatch(pattern, read):
                print_result(f"{folder}: its column '{name}' is not read: {advice}")


def _meant(settings: DatasetSettings) -> Iterator[tuple[str, str]]:
    """Patterns of names, and what it is that rows lack without such a column."""
    columns = settings.columns
    if settings.task == "causal-lm" and columns.prompt is not None:
        yield ASKED
    if settings.task == "causal-lm" and columns.messages is not None:
        yield TALKED
    if settings.task == "causal-lm" and columns.input_ids is not None:
        yield TOKENS
    if TASK_SPECS[settings.task].groups:
        yield NEGATIVES[0], NEGATIVES[1].format(rows="write a row for each, with the label 0")
    if TASK_SPECS[settings.task].embeds and columns.text_pair is not None:
        yield NEGATIVES[0], NEGATIVES[1].format(rows="write each as a row of its own, with an empty second text")
