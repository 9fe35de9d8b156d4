"""The column of labels in each split: where it is not, rows are without labels, which is said; another name is refused."""

import difflib
from collections.abc import Mapping, Sequence

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.column_names import names_of, noted, same_name
from distill.preparation.columns import column_of, require_one_name
from distill.sources.streams import LEFT_OUT

LABELS = (
    "label", "labels", "gold_label", "class", "category", "intent", "target", "sentiment", "topic", "emotion", "y",
    "score", "rating", "stars", "relevance", "similarity", "accept", "gold",
)  # fmt: skip
TAGS = ("tags", "ner_tags", "labels", "slots", "entities", "pos_tags", "chunk_tags")
SPANS = ("spans", "entities", "label", "labels", "ner")
"""Usual names, the likeliest first."""
NAMES_BY_PART = {"label": LABELS, "tags": TAGS, "spans": SPANS, "answers": ("answers", "answer")}
NEAR = 0.75


def look_at_columns(tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> None:
    """Refuse labels under another name than the one that is read, and say which splits have none."""
    spec, columns = TASK_SPECS[settings.task], settings.columns
    part = next((part for part in NAMES_BY_PART if part in settings.parts), None)
    if spec.embeds and "label" in columns.model_fields_set:  # scores of pairs, which a split of single texts need not have
        for split, table in tables.items():
            require_one_name(table, f"{where}: {split}", columns.label, "label")
    if part is None or spec.embeds or columns.labels is not None:
        return
    name = str(getattr(columns, part))
    lacking = [split for split, table in tables.items() if name not in (*names_of(table), *noted(table, LEFT_OUT, {}))]
    if len(lacking) == len(tables):
        column_of(tables[settings.splits.train], f"{where}: {settings.splits.train}", name, part)
    read = {str(getattr(columns, each)) for each in settings.parts}
    beside = {each for split, table in tables.items() if split not in lacking for each in names_of(table)}
    for split, table in tables.items():
        twin = next((each for each in names_of(table) if each != name and same_name(each) == same_name(name)), None)
        if split not in lacking:
            if {name, twin} <= set(table.column_names):
                require_one_name(table, f"{where}: {split}", name, part)
            continue
        unread = [each for each in names_of(table) if each not in read]
        near = twin or _near(name, [each for each in unread if each not in beside], NAMES_BY_PART[part])
        if near is not None:
            raise UserError(
                f"{where}: {split}: has no column '{name}', as other splits have; did you mean '{near}'? Rename it to '{name}' "
                f"there, or take '{near}' out if its rows are to have no labels"
            )
        others = f" (not read: {', '.join(unread[:10])})" if unread else ""
        print_result(f"{where}: {split}: has no column '{name}', its rows are without labels{others}")


def _near(name: str, unread: Sequence[str], usual: Sequence[str]) -> str | None:
    """A column that may be the one that is meant."""
    known = {same_name(each): each for each in unread}
    close = difflib.get_close_matches(same_name(name), known, n=1, cutoff=NEAR)
    return next((known[each] for each in [*close, *usual] if each in known), None)
