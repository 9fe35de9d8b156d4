"""Schemes of tags: entities as BIO has them, or a class a word, such as parts of speech."""

import re
from collections.abc import Sequence

from distill.core.errors import UserError
from distill.params.task_specs import ENTITY_TAG
from distill.preparation.labels import NUMBER, Given, quoted

OUTSIDE = "O"
"""The tag of a word that is in no entity."""

PREFIXED = re.compile(r"[BIESLUMW]-.*")


def rewritten(given: Given) -> bool:
    """Whether tags of another scheme become BIO: unless `labels` names tags of that one."""
    return all(name[0] in "BI" for name in (*given.renames, *(given.order or ())) if PREFIXED.fullmatch(name))


def require_scheme(names: Sequence[str], in_order: bool) -> tuple[str, ...]:
    """Refuse tags of no scheme; O comes first unless the order is given."""
    odd = [name for name in names if not ENTITY_TAG.fullmatch(name)]
    if odd and any(map(PREFIXED.fullmatch, names)):
        raise UserError(
            f"the tag {odd[0]!r:.60} is not of the BIO scheme (O, B-type, I-type) as others are; rename it: labels: "
            f"{{{quoted(odd[0])}: TAG}}"
        )
    if all(map(NUMBER.fullmatch, names)):
        raise UserError(f"the tags are the numbers {', '.join(names[:20])}, which name no entities; give their names in `labels`")
    return tuple(names) if in_order else tuple(sorted(names, key=lambda name: name != OUTSIDE))
