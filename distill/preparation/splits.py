"""Train, validation and test rows: cut, sampled, and looked at for what scoring needs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.rows import Rows

Cut = Callable[[Rows, Array, int, str, int], tuple[Array, Array]]
"""(rows, positions of labelled rows, how many to cut, where, seed) → positions that are kept, and that are cut."""

SPLITS = ("train", "validation", "test")

DEFAULT_FRACTION = 0.1


def require_split(tables: Mapping[str, Any], split: str, name: str) -> None:
    """Refuse a split that the source does not have."""
    if name not in tables:
        raise UserError(f"splits.{split}: the source has no '{name}'; it has {', '.join(tables)}")


def cut_splits(
    tables: Mapping[str, Rows], plan: Mapping[str, str | float | None], seed: int, cut_rows: Cut | None = None
) -> dict[str, Rows]:
    """Train, validation and test rows: each a split of the source, or a fraction of the training rows, `stratified` or cut so.

    Transfer rows (without a label) stay in the training split.
    """
    named = {split: plan[split] if plan[split] is not None else split for split in SPLITS}
    _require_apart(plan)
    require_split(tables, "train", str(named["train"]))
    train = tables[str(named["train"])]
    result, cuts = {}, {}
    for split in SPLITS[1:]:
        name = named[split]
        if isinstance(plan[split], str) or (name in tables and name not in plan.values()):
            require_split(tables, split, str(name))
            result[split] = tables[str(name)]
        else:
            cuts[split] = plan[split] if isinstance(plan[split], float) else DEFAULT_FRACTION
    total = int(train.labelled.sum())
    for split, fraction in cuts.items():
        where, labelled = f"splits.{split}", np.flatnonzero(train.labelled)
        if len(labelled) == 0:
            raise UserError(f"{where}: no row has a label to cut by; give a split of the source that is labelled")
        kept, cut = (cut_rows or stratified)(train, labelled, round(float(fraction or 0) * total), where, seed)
        kept = np.concatenate([kept, np.flatnonzero(~train.labelled)])
        result[split], train = train.take(np.sort(cut)), train.take(np.sort(kept))
    result["train"] = train
    for split in SPLITS:
        if len(result[split]) == 0:
            raise UserError(f"splits.{split}: has no rows; give it a larger fraction, or another split of the source")
    return {split: result[split] for split in SPLITS}


def _require_apart(plan: Mapping[str, str | float | None]) -> None:
    """Refuse a split of the source that is to play two parts: its rows would be trained on and scored."""
    parts: dict[str, str] = {}
    for split, name in plan.items():
        if isinstance(name, str) and parts.setdefault(name, split) != split:
            raise UserError(
                f"splits.{split}: '{name}' is splits.{parts[name]} already; give another split of the source, or a fraction "
                f"such as {DEFAULT_FRACTION}, to cut it from the training rows"
            )


def limit_rows(rows: Rows, most: int | None, seed: int) -> Rows:
    """At most so many rows: a seeded sample in the old order, with each label's share (and that of transfer rows) kept."""
    if most is None or len(rows) <= most:
        return rows
    rng = np.random.default_rng(seed)
    place = np.empty(len(rows))
    strata = rows.labels if rows.labels.dtype.kind == "i" else rows.labelled
    for label in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == label))
        place[members] = np.arange(len(members)) / len(members)
    return rows.take(np.sort(np.argsort(place, kind="stable")[:most]))


def require_labels(rows: Rows, where: str) -> None:
    """Refuse transfer rows in a split that models are scored on."""
    missing = np.flatnonzero(~rows.labelled)
    if len(missing):
        raise UserError(
            f"{where}: row {rows.numbers[missing[0]]}: has no label ({len(missing)} rows have none), and this split is scored; "
            "label them, or take another split or a fraction (splits in params.yaml)"
        )


def stratified(rows: Rows, labelled: Array, count: int, where: str, seed: int) -> tuple[Array, Array]:
    """Cut so that each class keeps its share."""
    from sklearn.model_selection import train_test_split

    labels = rows.labels[labelled]
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        row = rows.numbers[labelled[labels == classes[counts.argmin()]][0]]
        raise UserError(f"{where}: the class of row {row} has one example, which cannot be in two splits; add more, or drop it")
    if not len(classes) <= count <= len(labelled) - len(classes):
        raise UserError(
            f"{where}: {count} of {len(labelled)} rows cannot hold each of {len(classes)} classes; change the fraction"
        )
    kept, cut = train_test_split(labelled, test_size=count, random_state=seed, stratify=labels)
    return kept, cut


def at_random(rows: Rows, labelled: Array, count: int, where: str, seed: int) -> tuple[Array, Array]:
    """Cut any rows."""
    order = np.random.default_rng(seed).permutation(labelled)
    return order[count:], order[:count]


def by_context(rows: Rows, labelled: Array, count: int, where: str, seed: int) -> tuple[Array, Array]:
    """Cut about so many questions, all those on a context or none: a student that has seen a context scores too high."""
    from sklearn.model_selection import GroupShuffleSplit

    contexts = np.unique([(rows.texts_pair or [])[i] for i in labelled], return_inverse=True)[1]
    if contexts.max() == 0:
        raise UserError(f"{where}: all questions are on one context, which cannot be in two splits; give a split of the source")
    groups = min(max(1, round(count / len(labelled) * (contexts.max() + 1))), int(contexts.max()))
    kept, cut = next(GroupShuffleSplit(1, test_size=groups, random_state=seed).split(labelled, groups=contexts))
    return labelled[kept], labelled[cut]
