"""What a random student's `architecture` may say: settings of a transformers config, and of vectors."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from distill.core.errors import one_line
from distill.core.validation import nearest

VECTORS = ("pooling", "normalize", "vector_size")
"""Keys of sentence encoders that are not in the encoder's own config."""


def unknown_setting(architecture: Mapping[str, Any], *, embeds: bool) -> str | None:
    """What an architecture says that no config of its family has; None if all is known."""
    import transformers

    family = str(architecture.get("model_type", "bert"))
    if family not in transformers.CONFIG_MAPPING:
        near = nearest(family, transformers.CONFIG_MAPPING)
        return f"model_type: '{family}' is unknown{near if 'did you mean' in near else '; expected one that transformers has'}"
    try:
        default = transformers.AutoConfig.for_model(family)
    except (ValueError, TypeError, StrictDataclassError) as error:
        return f"model_type: {family} cannot be built by its name alone: {one_line(error)}"
    known = {*default.to_dict(), *default.attribute_map, *(VECTORS if embeds else ())}
    return next((f"{key}: not a setting of {family}{nearest(key, known)}" for key in architecture if key not in known), None)
