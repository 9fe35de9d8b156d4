"""Which stage makes a target set, so that errors name the command that helps."""

from pathlib import Path

SECTIONS = {"given": "given", "ensembles": "ensemble"}
"""The sections of params.yaml beside `targets` whose entries are target sets, and their stages."""


def stage_of(folder: Path) -> str:
    """`targets@NAME` of data/targets/NAME; or where `check` has written that NAME is of another section, `given@NAME` …"""
    jobs = folder.parent.parent / "jobs" / "entries"
    found = (stage for section, stage in SECTIONS.items() if (jobs / section / f"{folder.name}.json").exists())
    return f"{next(found, 'targets')}@{folder.name}"
