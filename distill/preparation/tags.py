"""Schemes of tags: entities as BIO has them, or a class a word, such as parts of speech."""

import re
from collections.abc import Collection, Sequence

from distill.core.errors import UserError
from distill.data.dataset import OUTSIDE
from distill.params.task_specs import ENTITY_TAG, names_entities
from distill.preparation.labels import NUMBER, Given, quoted, shown

NO_OUTSIDE = (
    "no tag is O: words without a tag are not learnt from, and a model finds entities in all words; if those are outside, write O"
)
PREFIXED = re.compile(r"[BIESLUMW]-.*")
MEANT = re.compile(r"(?P<first>[BIESLUMW])[-_:./](?P<kind>.+)|(?P<before>.+)[-_:./](?P<last>[BIESLUMW])", re.IGNORECASE)
"""Other ways to write them."""


def rewritten(given: Given) -> bool:
    """Whether tags of another scheme become BIO: unless `labels` names tags of that one."""
    return all(name[0] in "BI" for name in (*given.renames, *(given.order or ())) if PREFIXED.fullmatch(name))


def require_scheme(names: Sequence[str], in_order: bool) -> tuple[str, ...]:
    """Refuse tags of no scheme; O comes first unless the order is given."""
    odd = [name for name in names if not ENTITY_TAG.fullmatch(name)]
    if odd and any(map(PREFIXED.fullmatch, names)):
        raise UserError(
            f"the tag {odd[0]!r:.60} is not of the BIO scheme (O, B-type, I-type) as others are; rename it: labels: "
            f"{{{quoted(odd[0])}: TAG}}, or if it stands for no tag: unlabelled: {quoted(odd[0])}"
        )
    if all(map(NUMBER.fullmatch, names)):
        raise UserError(f"the tags are the numbers {', '.join(names[:20])}, which name no entities; give their names in `labels`")
    return tuple(names) if in_order else tuple(sorted(names, key=lambda name: name != OUTSIDE))


def require_one_case(names: Sequence[str], told: Collection[str]) -> None:
    """Refuse types of entities that differ in case alone, unless `labels` says so of the second (it is `told`)."""
    first: dict[str, str] = {}
    for kind in (name[2:] for name in names if PREFIXED.fullmatch(name)):
        first.setdefault(kind.casefold(), kind)
    other = [name for name in names if PREFIXED.fullmatch(name) and name[2:] != first[name[2:].casefold()] and name not in told]
    if other:
        pairs = ", ".join(f"{quoted(name)}: {quoted(name[:2] + first[name[2:].casefold()])}" for name in other)
        apart = ", ".join(f"{quoted(name)}: {quoted(name)}" for name in other)
        raise UserError(
            f"the tags {', '.join(names[:20])} have types that differ in case alone; make them one with labels: {{{pairs}}}, or "
            f"keep them apart with labels: {{{apart}}}"
        )


def told_of(names: Sequence[str]) -> str | None:
    """What is to be said of tags that make entities of all words that have one, or that may be entities' in another form."""
    if names_entities(names):
        return None if OUTSIDE in names else NO_OUTSIDE
    told = f"the tags name no entities, each is a class of words (token_accuracy, macro_f1): {shown(names)}"
    inside = [name for name in names if name.upper() != OUTSIDE]
    found = [MEANT.fullmatch(name) for name in inside]
    if len(inside) == len(names) or not all(found):
        return told
    parts = [(match["first"] or match["last"], match["kind"] or match["before"]) for match in found if match]
    pairs = [(name, f"{letter.upper()}-{kind}") for name, (letter, kind) in zip(inside, parts, strict=True)]
    pairs += [(name, OUTSIDE) for name in names if name not in inside and name != OUTSIDE]
    return f"{told}; if they are entities: labels: {{{', '.join(f'{quoted(name)}: {quoted(bio)}' for name, bio in pairs)}}}"
