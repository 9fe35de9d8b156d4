"""Whether each student's target set keeps what the student reads."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from distill.core.errors import UserError
from distill.params.inits import PRESETS
from distill.params.layers import resolve_layers
from distill.params.students import Needs, Shapes
from distill.params.targets import TargetSettings
from distill.params.task_specs import TASK_SPECS
from distill.pipeline.entries import Params
from distill.pipeline.shapes import SPELLINGS, Shape, configured_shape, local_config, read_shape

KINDS = ("hidden", "cls", "attention", "relations")
OF_LAYERS = ("attention", "relations")
"""Those that belong to layers, counted from 1; the others are hidden states, counted from 0."""

OUTPUTS = {"relations": ("queries", "keys", "values")}
"""What a target set calls the outputs of a kind, where that is not the kind's own name."""


def initial_shape(params: Params, name: str, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """What is known of a student's `layers`, `width` and `heads`, followed to its first ancestor."""
    init = params.students[name].init
    if init.architecture is not None:
        return configured_shape(init.configured)
    source, depth = _copied_shape(params, name, shapes), init.depth if init.layers is None else len(init.layers)
    return source if depth is None else {**source, "layers": depth}


def _copied_shape(params: Params, name: str, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """What is known of the model whose layers a student copies."""
    _, kind, origin = params.students[name].init.source.split("/")
    if kind == "teachers":
        return asdict(shapes[origin]) if origin in shapes else {}
    return initial_shape(params, origin, shapes)


def missing_layers(params: Params, path: Path, shapes: Mapping[str, Shape]) -> list[str]:
    """A line for each student that copies layers which the model it begins with has not, as far as shapes are known."""
    problems = []
    for name, student in params.students.items():
        init, key = student.init, "depth" if student.init.layers is None else "layers"
        wanted = init.depth if init.layers is None else max(init.layers) + 1
        if wanted is None or init.architecture is not None:
            continue
        layers = _copied_shape(params, name, shapes).get("layers", wanted)
        if wanted > layers:
            expected = f"at most {layers}" if key == "depth" else f"0 to {layers - 1}"
            got = init.depth if key == "depth" else list(init.layers or ())
            problems.append(
                f"{path}: students.{name}.init.{key}: got {got}, {init.source} has {layers} layers; expected {expected}"
            )
    return problems


def unknown_settings(params: Params, path: Path) -> list[str]:
    """A line for each random student whose architecture says what no config of its family has.

    Presets' own keys are known; transformers, which takes seconds to import, is asked for others alone.
    """
    from distill.models.architectures import unknown_setting

    problems = []
    for name, student in params.students.items():
        init, embeds = student.init, TASK_SPECS[params.task(student.dataset)].embeds
        presets = [each for each in PRESETS.values() if each["model_type"] == init.configured.get("model_type")]
        if init.architecture is None or any(preset.keys() >= init.configured.keys() for preset in presets):
            continue
        if (problem := unknown_setting(init.architecture, embeds=embeds or init.bi_encoder)) is not None:
            problems.append(f"{path}: students.{name}.init.architecture.{problem}")
    return problems


def readers(params: Params, target_set: str) -> list[str]:
    """The students that learn from a target set."""
    return [name for name, student in params.students.items() if student.target_set == target_set]


def reads(params: Params, name: str, shapes: Mapping[str, Shape]) -> Needs | None:
    """What a student reads; None if it depends on a depth that is not known."""
    student = params.students[name]
    if not student.reads_hidden:
        return student.needs(1, 1)
    targets, student_shape = params.targets[student.target_set], initial_shape(params, name, shapes)
    teacher = shapes.get(targets.teacher)
    if teacher is None or "layers" not in student_shape:
        return None
    if student_shape.keys() == SPELLINGS.keys():
        student.require_comparable(
            Shapes(
                student_layers=student_shape["layers"],
                student_width=student_shape["width"],
                teacher_layers=teacher.layers,
                teacher_width=teacher.width,
                student_heads=student_shape["heads"],
                teacher_heads=teacher.heads,
                teacher_scores=targets.attention_as != "probabilities-u8",
            )
        )
    return student.needs(student_shape["layers"], teacher.layers)


def listed_needs(targets: TargetSettings, depth: int) -> Needs:
    """What an entry of `targets` lists, and logits."""
    layers = {kind: resolve_layers(kind, getattr(targets, kind), int(kind in OF_LAYERS), depth) for kind in KINDS}
    return Needs(logits=True, **layers)


def kept_needs(targets: TargetSettings, depth: int) -> Needs:
    """What students can read of a target set: what it lists, and the states from which that is replayed."""
    listed = listed_needs(targets, depth)
    return union([listed, replay_sources(targets, listed)])


def replay_sources(targets: TargetSettings, needs: Needs) -> Needs:
    """The hidden states from which the attention and the relations among `needs` are replayed."""
    attention = needs.attention if targets.attention_as == "replay" else ()
    return Needs(hidden=tuple(sorted({layer - 1 for layer in (*attention, *needs.relations)})))


def difference(left: Needs, right: Needs) -> Needs:
    """What is in the first and not in the second."""
    layers = {kind: tuple(sorted({*getattr(left, kind)} - {*getattr(right, kind)})) for kind in KINDS}
    return Needs(left.logits and not right.logits, **layers)


def union(parts: Iterable[Needs]) -> Needs:
    """All that is in any of them."""
    parts = list(parts)
    layers = {kind: tuple(sorted({layer for part in parts for layer in getattr(part, kind)})) for kind in KINDS}
    return Needs(any(part.logits for part in parts), **layers)


def output_names(needs: Needs) -> list[str]:
    """The outputs, as they are called in a target set."""
    layers = [(name, layer) for kind in KINDS for layer in getattr(needs, kind) for name in OUTPUTS.get(kind, (kind,))]
    return ["logits"] * needs.logits + [f"{name}-{layer:02d}" for name, layer in layers]


def missing_needs(params: Params, target_set: str, path: Path, shapes: Mapping[str, Shape]) -> list[str]:
    """A line for each student that asks for what its target set lacks, as far as shapes are known, with what to add."""
    targets = params.targets[target_set]
    depth = shapes[targets.teacher].layers if targets.teacher in shapes else None
    problems, asked = [], {}
    try:
        kept = None if depth is None else kept_needs(targets, depth)
    except UserError as error:
        return [f"{path}: targets.{target_set}.{error}"]
    for name in readers(params, target_set):
        try:
            asked[name] = reads(params, name, shapes)
        except UserError as error:
            problems.append(f"{path}: students.{name}: {error}")
    for name, needs in asked.items():
        recipe, deep = params.students[name].recipe, params.students[name].reads_hidden
        where = f"{path}: students.{name}.targets: {recipe} reads"
        if deep and "train" not in targets.hidden_splits:
            problems.append(f"{where} hidden states of train; add train to hidden_splits of targets.{target_set}")
        if needs is not None and depth is not None and kept is not None:
            if lacking := output_names(difference(needs, kept)):
                add = to_add(targets, depth, [each for each in asked.values() if each is not None])
                what = f"{where} {', '.join(lacking)}, which targets.{target_set} does not keep"
                problems.append(f"{what}; add to targets.{target_set}: {add}")
        elif deep and not any(getattr(targets, kind) for kind in KINDS):
            which = f"`python -m distill plan {target_set}` says which layers to add"
            problems.append(f"{where} hidden states, which targets.{target_set} does not keep; {which}")
    return problems


def to_add(targets: TargetSettings, depth: int, asked: Iterable[Needs]) -> str:
    """The settings that feed all students of a target set, merged with what is there."""
    lacking = difference(union(asked), kept_needs(targets, depth))
    merged = union([listed_needs(targets, depth), lacking])
    return ", ".join(f"{kind}: {list(getattr(merged, kind))}" for kind in KINDS if getattr(lacking, kind))


def unused_outputs(targets: TargetSettings, depth: int, asked: Iterable[Needs]) -> list[str]:
    """Outputs that an entry lists and no student reads."""
    used = union(asked)
    unused = difference(listed_needs(targets, depth), union([used, replay_sources(targets, used)]))
    return [name for name in output_names(unused) if name != "logits"]


def require_served(params: Params, path: Path) -> None:
    """Refuse students whose `init`, or target set, does not have what they read, as far as checkpoints at hand tell."""
    found = {name: read_shape(local_config(teacher.checkpoint)) for name, teacher in params.teachers.items()}
    shapes = {name: shape for name, shape in found.items() if shape is not None}
    problems = unknown_settings(params, path) + missing_layers(params, path, shapes)
    problems += [line for name in params.targets for line in missing_needs(params, name, path, shapes)]
    if problems:
        raise UserError("\n".join(problems))
