"""Train, validation and test rows: cut, sampled, and looked at for what scoring needs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.core.settings import SPLITS
from distill.data.long_arrays import compact, counted, new_array, places, steps, taken, tally
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.keys import group_numbers
from distill.preparation.labels import quoted
from distill.preparation.strata import drawn_of, rows_in, spread, strata_of
from distill.preparation.stratification import DEFAULT_FRACTION, assign_by_labels, rows_of, sample_by_labels, sample_groups

MEANT = {
    "validation": ("validation", "dev", "val", "valid", "development", "eval", "evaluation"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""What these rows are called elsewhere, in any case, the clearest first."""

Table = TypeVar("Table")
Grouped = Callable[[Rows], tuple[Rows, Array]]
"""Rows to themselves, with what was found of them, and a key each, (rows, 16) uint8: those with the same one stay together."""


def require_split(tables: Mapping[str, Any], split: str, name: str) -> None:
    """Refuse a split that the source does not have."""
    if name not in tables:
        raise UserError(f"splits.{split}: the source has no '{name}'; it has {', '.join(tables)}")


def meant_for(split: str, names: Iterable[str]) -> str | None:
    """The split of a source that is called as validation or test rows often are."""
    by_name = {name.casefold(): name for name in names}
    return next((by_name[called] for called in MEANT[split] if called in by_name), None)


def wanted_splits(tables: Mapping[str, Table], settings: DatasetSettings, where: str) -> dict[str, Table]:
    """The splits of a source that are named, or called as ours are. A named one that is not there is refused.

    Those that are neither a split of the data set nor transferred are said.
    """
    plan = settings.splits.model_dump()
    for split, name in plan.items():
        if isinstance(name, str):
            require_split(tables, split, name)
    _require_others(settings)
    _tell_unread(tables, settings, where)
    return {split: table for split, table in tables.items() if split in {*plan.values(), *SPLITS}}


def _require_others(settings: DatasetSettings) -> None:
    """Refuse to transfer the data set's own rows: those that are learnt from already, those that are scored, and both."""
    plan = settings.splits.model_dump()
    named = {name: split for split, name in plan.items() if isinstance(name, str)}
    own = {split: split for split, name in plan.items() if name is None} | named
    for place in settings.transfer:
        source, _, split = place.partition("/")
        if source == settings.source and (part := own.get(split or "train")):
            raise UserError(
                f"transfer: {place} has the rows of splits.{part}, which would be learnt from twice, or scored too; remove it "
                "(`labelled` takes the labels from rows that are there)"
            )


def _tell_unread(tables: Mapping[str, Any], settings: DatasetSettings, where: str) -> None:
    plan = settings.splits.model_dump()
    read = {name or split for split, name in plan.items()}
    read |= {named.partition("/")[2] or "train" for named in settings.transfer if named.partition("/")[0] == settings.source}
    if not (unread := [name for name in tables if name not in read]):
        return
    meant: dict[str, str] = {}
    for split in MEANT:
        if split not in tables and not isinstance(plan[split], str):
            found = meant_for(split, (name for name in unread if name not in meant.values()))
            meant |= {split: found} if found else {}
    entries = ", ".join(f"{split}: {quoted(name)}" for split, name in meant.items())
    rows = " and ".join(f"those of {name} {split} rows" for split, name in meant.items())
    advice = f"; `splits: {{{entries}}}` makes {rows}" if meant else ""
    print_result(f"{where}: no split has the rows of {', '.join(unread)}{advice}")


def cut_splits(
    tables: Mapping[str, Rows], plan: Mapping[str, str | float | None], seed: int, grouped: Grouped, *, by_labels: bool = True
) -> tuple[dict[str, Rows], Array]:
    """Train, validation and test rows: each a split of the source, or a fraction of the training rows.

    Fractions are stratified by class where labels are classes, and keep groups together. Transfer rows (without a label) stay in
    the training split, with the rows of their groups, unless fractions are not cut `by_labels`. Returns the classes that are too
    rare to be cut too, (classes,) int64: all their rows are training rows.
    """
    named = {split: plan[split] if plan[split] is not None else split for split in SPLITS}
    _require_apart(plan)
    require_split(tables, "train", str(named["train"]))
    train = tables[str(named["train"])]
    result, cuts = dict[str, Rows](), dict[str, float | None]()
    for split in SPLITS[1:]:
        name = named[split]
        if isinstance(plan[split], str) or (name in tables and name not in plan.values()):
            require_split(tables, split, str(name))
            result[split] = tables[str(name)]
        else:
            given = plan[split]
            cuts[split] = given if isinstance(given, float) else None
    train, keys = grouped(train) if cuts else (train, np.empty((0, 0), np.uint8))
    looked_at = train if by_labels else replace(train, labels=new_array(len(train), np.float32))
    parts, rare = assign(looked_at, cuts, keys, seed)
    result |= {name: train.take(places(parts == number)) for number, name in enumerate(("train", *cuts))}
    for split in SPLITS:
        if len(result[split]) == 0:
            raise UserError(f"splits.{split}: has no rows; give it a larger fraction, or another split of the source")
    return {split: result[split] for split in SPLITS}, rare


def _require_apart(plan: Mapping[str, str | float | None]) -> None:
    """Refuse a split of the source that is to play two parts: its rows would be trained on and scored."""
    parts: dict[str, str] = {}
    for split, name in plan.items():
        if isinstance(name, str) and parts.setdefault(name, split) != split:
            raise UserError(
                f"splits.{split}: '{name}' is splits.{parts[name]} already; give another split of the source, or a fraction "
                f"such as {DEFAULT_FRACTION}, to cut it from the training rows"
            )


def assign(rows: Rows, cuts: Mapping[str, float | None], keys: Array, seed: int) -> tuple[Array, Array]:
    """The part of each row, (rows,) int64: 0 for training, then those of `cuts`; and the classes that are too rare to be cut.

    A fraction that is None is DEFAULT_FRACTION, and more where that cannot hold a row of each class. Groups of rows with one key
    are drawn at random, class by class, while they fit what is left of the class's share. The class of a group is that of most of
    its rows. A class in fewer groups than there are parts is not cut.
    """
    labelled = int(rows.labelled.sum())
    if not cuts:
        return new_array(len(rows), np.int64), np.empty(0, np.int64)
    if labelled == 0:
        raise UserError(f"splits.{next(iter(cuts))}: no row has a label to cut by; give a split of the source that is labelled")
    fractions = [DEFAULT_FRACTION if fraction is None else fraction for fraction in cuts.values()]
    if sum(fractions) >= 1:
        raise UserError(f"splits: {' and '.join(map(str, fractions))} of the training rows leave none to train on; lower them")
    group = group_numbers(keys)
    if rows.strata.ndim > 1:
        return assign_by_labels(rows, cuts, group, seed)
    size = tally(group, max(int(group[part].max()) for part in steps(len(group))) + 1)
    strata = strata_of(rows, group, size)
    rng = np.random.default_rng(seed)
    free = {stratum: groups for stratum, groups in strata.items() if len(groups) > len(cuts)}
    for groups in free.values():
        rng.shuffle(groups)
    if not free:
        raise UserError(
            f"splits.{next(iter(cuts))}: the labelled rows hold at most {max(map(len, strata.values()))} different texts (or "
            f"contexts) of a class, which cannot be in {len(cuts) + 1} splits; add rows, or name the source's splits"
        )
    sizes = {stratum: rows_in(size, groups) for stratum, groups in free.items()}
    parts = new_array(len(size), np.int64)
    for number, (split, fraction) in enumerate(cuts.items(), start=1):
        quotas = _shares(sizes, rows_of(split, fraction, labelled, len(sizes)))
        for stratum, groups in free.items():
            drawn = drawn_of(size, groups, quotas[stratum], len(groups) - (len(cuts) - number) - 1)
            for part in steps(len(groups)):
                parts[groups[part][drawn[part]]] = number
            free[stratum] = compact(groups, ~drawn)
    return taken(parts, group), np.array([stratum for stratum in strata if stratum not in free], np.int64)


def _shares(sizes: Mapping[int, int], count: int) -> dict[int, int]:
    """How many rows of each class a part of so many gets: its share, and at least one."""
    exact = {stratum: count * size / sum(sizes.values()) for stratum, size in sizes.items()}
    shares = {stratum: max(1, int(share)) for stratum, share in exact.items()}
    while (missing := count - sum(shares.values())) != 0 and (missing > 0 or max(shares.values()) > 1):
        step = 1 if missing > 0 else -1
        able = [stratum for stratum in shares if step > 0 or shares[stratum] > 1]
        shares[max(able, key=lambda stratum: step * (exact[stratum] - shares[stratum]))] += step
    return shares


def limit_rows(rows: Rows, most: int | None, seed: int) -> Rows:
    """At most so many rows: a seeded sample in the old order, with each label's share (and that of transfer rows) kept."""
    if most is None or len(rows) <= most:
        return rows
    return rows.take(_sample(rows, counted(len(rows)), most, seed))


def limit_labels(rows: Rows, most: int | None, seed: int) -> Rows:
    """At most so many rows with a label: those of a seeded sample, with each label's share kept; the others lose theirs."""
    labelled = places(rows.labelled)
    if most is None or len(labelled) <= most:
        return rows
    return rows.labelled_at(_sample(rows, labelled, most, seed))


def _sample(rows: Rows, positions: Array, most: int, seed: int) -> Array:
    """So many of the positions, in order, each label's share kept; of groups as many whole ones as fit."""
    if rows.groups is not None:
        return np.asarray(positions[sample_groups(rows.groups[positions], most, seed)])
    if rows.strata.ndim > 1:
        applies = np.column_stack([rows.strata == 1, ~rows.labelled])[positions]
        return np.asarray(positions[sample_by_labels(applies, most, seed)])
    return spread(positions, taken(rows.strata, positions), most, np.random.default_rng(seed))


def require_labels(rows: Rows, where: str) -> None:
    """Refuse transfer rows in a split that models are scored on."""
    missing = np.flatnonzero(~rows.labelled)
    if len(missing):
        raise UserError(
            f"{where}: row {rows.numbers[missing[0]]}: has no label ({len(missing)} rows have none), and this split is scored; "
            "label them, or take another split or a fraction (splits in params.yaml)"
        )
