"""What is to be materialized, as an entry of `targets` that says nothing of it would have it, but for what a test changes."""

from dataclasses import replace
from typing import Any

from distill.params.targets import TargetSettings
from distill.targets.materialization.outputs import MaterializeSpec, job_of


def target_spec(**changed: Any) -> MaterializeSpec:
    """That of an entry's defaults, with other fields than these."""
    return replace(job_of(TargetSettings(teacher="teacher", dataset="rows")), **changed)
