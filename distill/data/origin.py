"""Which stage makes what lies in a folder of data/, so that errors name the command that helps."""

from collections.abc import Mapping
from pathlib import Path

PREPARING = {"datasets": "prepare", "augmentations": "augment"}
"""The stages that write prepared data sets, by the sections of params.yaml that their entries are in."""


def stage_of(folder: Path, stages: Mapping[str, str] = PREPARING) -> str:
    """`prepare@NAME` of data/prepared/NAME; or where `check` has written that NAME is of another section, `augment@NAME`.

    `stages`, by section, are those that write such folders: the first one, unless the name is of another.
    """
    jobs = folder.parent.parent / "jobs" / "entries"
    first, *others = stages
    section = next((other for other in others if (jobs / other / f"{folder.name}.json").exists()), first)
    return f"{stages[section]}@{folder.name}"
