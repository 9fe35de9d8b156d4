"""Whether each student's target set keeps what the student reads."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from distill.errors import UserError
from distill.layers import resolve_layers
from distill.params.students import Needs
from distill.params.targets import TargetSettings
from distill.params.whole import Params

KINDS = ("hidden", "cls", "attention", "relations")
OF_LAYERS = ("attention", "relations")
"""Those that belong to layers, counted from 1; the others are hidden states, counted from 0."""
OUTPUTS = {"relations": ("queries", "keys", "values")}
"""What a target set calls the outputs of a kind, where that is not the kind's own name."""
DEPTH_KEYS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
"""What the configs of transformers call the number of layers."""


def student_depth(params: Params, name: str, depths: Mapping[str, int]) -> int | None:
    """How many layers a student is born with, followed to its first ancestor; None if that is not known.

    Args:
        params: All entries, without cycles.
        name: The student.
        depths: Layers of the teachers of which they are known.
    """
    init = params.students[name].init
    if init.layers is not None:
        return len(init.layers)
    if init.depth is not None:
        return init.depth
    if init.architecture is not None:
        found = next((init.architecture[key] for key in DEPTH_KEYS if key in init.architecture), None)
        return found if isinstance(found, int) else None
    _, kind, origin = init.source.split("/")
    return depths.get(origin) if kind == "teachers" else student_depth(params, origin, depths)


def readers(params: Params, target_set: str) -> list[str]:
    """The students that learn from a target set."""
    return [name for name, student in params.students.items() if student.targets.partition("/")[0] == target_set]


def reads(params: Params, name: str, depths: Mapping[str, int]) -> Needs | None:
    """What a student reads; None if it depends on a depth that is not known.

    Raises:
        UserError: the student's layers and the teacher's cannot be paired.
    """
    student = params.students[name]
    if not student.reads_hidden:
        return student.needs(1, 1)
    own = student_depth(params, name, depths)
    teacher = depths.get(params.targets[student.targets.partition("/")[0]].teacher)
    return None if own is None or teacher is None else student.needs(own, teacher)


def lists(targets: TargetSettings, depth: int) -> Needs:
    """What an entry of `targets` lists, and logits.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
    layers = {kind: resolve_layers(kind, getattr(targets, kind), int(kind in OF_LAYERS), depth) for kind in KINDS}
    return Needs(logits=True, **layers)


def keeps(targets: TargetSettings, depth: int) -> Needs:
    """What students can read of a target set: what it lists, and the states from which that is replayed.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
    listed = lists(targets, depth)
    return together([listed, below(targets, listed)])


def below(targets: TargetSettings, needs: Needs) -> Needs:
    """The hidden states from which the attention and the relations among `needs` are replayed."""
    attention = needs.attention if targets.attention_as == "replay" else ()
    return Needs(hidden=tuple(sorted({layer - 1 for layer in (*attention, *needs.relations)})))


def without(left: Needs, right: Needs) -> Needs:
    """What is in the first and not in the second."""
    layers = {kind: tuple(sorted({*getattr(left, kind)} - {*getattr(right, kind)})) for kind in KINDS}
    return Needs(left.logits and not right.logits, **layers)


def together(parts: Iterable[Needs]) -> Needs:
    """All that is in any of them."""
    parts = list(parts)
    layers = {kind: tuple(sorted({layer for part in parts for layer in getattr(part, kind)})) for kind in KINDS}
    return Needs(any(part.logits for part in parts), **layers)


def names(needs: Needs) -> list[str]:
    """The outputs, as they are called in a target set."""
    layers = [(name, layer) for kind in KINDS for layer in getattr(needs, kind) for name in OUTPUTS.get(kind, (kind,))]
    return ["logits"] * needs.logits + [f"{name}-{layer:02d}" for name, layer in layers]


def unfed(params: Params, target_set: str, path: Path, depths: Mapping[str, int]) -> list[str]:
    """A line for each student that asks for what its target set lacks, as far as depths are known, with what to add.

    Args:
        params: All entries, checked.
        target_set: The entry of `targets` whose students are looked at.
        path: Where they stand.
        depths: Layers of the teachers of which they are known.
    """
    targets, depth = params.targets[target_set], depths.get(params.targets[target_set].teacher)
    problems, asked = [], {}
    try:
        kept = None if depth is None else keeps(targets, depth)
    except UserError as error:
        return [f"{path}: targets.{target_set}.{error}"]
    for name in readers(params, target_set):
        try:
            asked[name] = reads(params, name, depths)
        except UserError as error:
            problems.append(f"{path}: students.{name}: {error}")
    for name, needs in asked.items():
        recipe, deep = params.students[name].recipe, params.students[name].reads_hidden
        where = f"{path}: students.{name}.targets: {recipe} reads"
        if deep and "train" not in targets.hidden_splits:
            problems.append(f"{where} hidden states of train; add train to hidden_splits of targets.{target_set}")
        if needs is not None and depth is not None and kept is not None:
            if lacking := names(without(needs, kept)):
                add = to_add(targets, depth, [each for each in asked.values() if each is not None])
                what = f"{where} {', '.join(lacking)}, which targets.{target_set} does not keep"
                problems.append(f"{what}; add to targets.{target_set}: {add}")
        elif deep and not any(getattr(targets, kind) for kind in KINDS):
            which = f"`python -m distill plan {target_set}` says which layers to add"
            problems.append(f"{where} hidden states, which targets.{target_set} does not keep; {which}")
    return problems


def to_add(targets: TargetSettings, depth: int, asked: Iterable[Needs]) -> str:
    """The settings that feed all students of a target set, merged with what is there."""
    lacking = without(together(asked), keeps(targets, depth))
    merged = together([lists(targets, depth), lacking])
    return ", ".join(f"{kind}: {list(getattr(merged, kind))}" for kind in KINDS if getattr(lacking, kind))


def unread(targets: TargetSettings, depth: int, asked: Iterable[Needs]) -> list[str]:
    """Outputs that an entry lists and no student reads."""
    used = together(asked)
    return [name for name in names(without(lists(targets, depth), together([used, below(targets, used)]))) if name != "logits"]
