"""Numbers of a teacher's layers, as params.yaml gives them."""

from collections.abc import Sequence

from distill.core.errors import UserError


def resolve_layers(key: str, layers: Sequence[int], first: int, depth: int) -> tuple[int, ...]:
    """Layers as numbers from `first` to `depth`, sorted; negative ones count from the last."""
    found = []
    for layer in layers:
        number = layer if layer >= 0 else depth + 1 + layer
        if not first <= number <= depth:
            what = "0 (embeddings)" if first == 0 else str(first)
            raise UserError(f"{key}: the teacher has no layer {layer}; expected {what} to {depth}, or -1 for the last")
        found.append(number)
    if len(set(found)) < len(found):
        raise UserError(f"{key}: {list(layers)} names a layer twice; give each once")
    return tuple(sorted(found))


def pair_layers(
    recipe: str, layer_map: Sequence[int] | None, student_layers: int, teacher_layers: int
) -> tuple[tuple[int, int], ...]:
    """The student's layers and the teacher's that each learns from, counted from 1; without a map evenly, g(i) = i·N/M."""
    if layer_map is None:
        if teacher_layers % student_layers:
            raise UserError(
                f"{recipe}: {student_layers} layers of a student do not spread evenly over the teacher's {teacher_layers}; "
                f"give layer_map: {student_layers} of the teacher's layers, counted from 1"
            )
        step = teacher_layers // student_layers
        return tuple((layer, layer * step) for layer in range(1, student_layers + 1))
    if len(layer_map) != student_layers or max(layer_map) > teacher_layers:
        raise UserError(
            f"{recipe}: layer_map: got {list(layer_map)}, expected {student_layers} numbers, one for each of the "
            f"student's layers, from 1 to the teacher's {teacher_layers}"
        )
    return tuple(enumerate(layer_map, start=1))
