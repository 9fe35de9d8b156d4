"""The folders of target sets, and the entries of params.yaml that they are of."""

from pathlib import Path

from distill.core.console import PARAMS
from distill.core.errors import UserError
from distill.core.settings import read_yaml
from distill.core.validation import nearest
from distill.store.origin import STAGES

TARGETS = Path("data/targets")


def folders(names: tuple[str, ...]) -> list[Path]:
    """The folders of target sets by name or path; without names, of all."""
    found = [TARGETS / name if (TARGETS / name).is_dir() else Path(name) for name in names]
    for folder in found:
        if not folder.is_dir():
            _require_known(folder)
            raise UserError(
                f"{folder}: no such target set or folder; run `dvc repro {stage_in_params(TARGETS / folder.name)}`, or `dvc pull`"
            )
    found = found or sorted(path for path in TARGETS.glob("[!.]*") if path.is_dir())
    if not found:
        raise UserError(f"{TARGETS}: no target sets; run `dvc repro`, or `dvc pull`")
    return found


def _require_known(folder: Path) -> None:
    """Refuse a name that no section of params.yaml has."""
    content = read_yaml(PARAMS) if PARAMS.exists() else {}
    known = [str(name) for section in STAGES for name in content.get(section) or {}]
    if known and str(folder) == folder.name and folder.name not in known:
        raise UserError(f"{folder}: no such target set or folder, and no entry of {PARAMS}{nearest(folder.name, known)}")


def section_of(folder: Path) -> str:
    """The section of params.yaml that a set is an entry of; `targets` if none says so."""
    content = read_yaml(PARAMS) if PARAMS.exists() else {}
    others = (section for section in STAGES if section != "targets")
    return next((section for section in others if folder.name in (content.get(section) or {})), "targets")


def stage_in_params(folder: Path) -> str:
    """The stage that makes a set, by params.yaml."""
    return f"{STAGES[section_of(folder)]}@{folder.name}"
