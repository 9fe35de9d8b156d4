"""Numbers of a teacher's layers, as params.yaml gives them."""

from collections.abc import Sequence

from distill.errors import UserError


def resolve_layers(key: str, layers: Sequence[int], first: int, depth: int) -> tuple[int, ...]:
    """Layers as numbers from `first` to `depth`, sorted; negative ones count from the last.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
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
