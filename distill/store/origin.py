"""Which stage makes a target set, so that errors name the command that helps."""

from pathlib import Path

from distill.data import origin

STAGES = {"targets": "targets", "given": "given", "ensembles": "ensemble"}
"""The stages that write target sets, by the sections of params.yaml that their entries are in."""


def stage_of(folder: Path) -> str:
    """`targets@NAME` of data/targets/NAME; or where `check` has written that NAME is of another section, `given@NAME` …"""
    return origin.stage_of(folder, STAGES)


def repair_of(stage: str) -> str:
    """The command that makes the damaged set of a stage whole: no teacher has made one that was given, or is a mean."""
    making, _, name = stage.partition("@")
    return f"python -m distill verify {name} --repair" if making == "targets" else f"dvc repro --force --single-item {stage}"
