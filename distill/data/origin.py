"""Which stage makes a prepared data set, so that errors name the command that helps."""

from pathlib import Path


def stage_of(folder: Path) -> str:
    """`prepare@NAME` of data/prepared/NAME; or where `check` has written that NAME is one of augmentations, `augment@NAME`."""
    augmented = folder.parent.parent / "jobs" / "entries" / "augmentations" / f"{folder.name}.json"
    return f"{'augment' if augmented.exists() else 'prepare'}@{folder.name}"
