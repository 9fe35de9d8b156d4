"""From an entry of params.yaml to what is to be materialized."""

import dataclasses

from distill.params.targets import TargetSettings
from distill.targets.outputs import Job


def job_of(settings: TargetSettings) -> Job:
    """What a target set's entry asks for."""
    own = settings.model_dump(include={field.name for field in dataclasses.fields(Job)})
    return Job(**own, shard_bytes=settings.shard_megabytes * 2**20)
