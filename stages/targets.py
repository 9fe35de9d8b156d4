"""data/teachers/TEACHER, data/prepared/DATASET → data/targets/NAME/"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.console import PARAMS, command, say
from distill.files import SCRATCH, sole_writer, to_json, whole_folder, write_text
from distill.params.base import load_entry
from distill.params.targets import TargetSettings

if TYPE_CHECKING:
    from distill.targets.engines import Crew


@command
@click.argument("name")
def main(name: str) -> None:
    """Keep what the teacher computes over a prepared data set as the target set NAME. A killed run goes on where it was.

    Started by `torchrun` or `accelerate launch`, its processes share the work.
    """
    from distill.targets.engines import crew

    with crew() as others:
        if others is not None and not others.leads:
            others.follow()
        else:
            lead(name, others)


def lead(name: str, others: "Crew | None") -> None:
    """Do it all, with the help of the other processes."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    from distill.jobs import job_of
    from distill.prepared import Dataset
    from distill.targets.base import refuse_foreign, remember, remembered
    from distill.targets.committed import committed
    from distill.targets.engines import run
    from distill.targets.fidelity import fidelity
    from distill.targets.order import Order
    from distill.targets.pool import open_pool
    from distill.targets.teacher import open_teacher
    from distill.targets.writer import Materializer

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    folder, out = Path("data/teachers", settings.teacher), Path("data/targets", name)
    scratch = SCRATCH / "targets" / name
    with sole_writer(scratch):
        teacher = open_teacher(folder, dataset)
        refuse_foreign(out, teacher.fingerprints)
        address = f"{settings.pool.rstrip('/')}/{name}" if settings.pool else None
        pool = open_pool(scratch, address)
        base = remembered(scratch) or committed(out, teacher.fingerprints, scratch / "base")
        materializer = Materializer(teacher, dataset, job_of(settings), pool, base)
        start = time.perf_counter()
        order = Order.of(materializer, folder, dataset.folder, address)
        work = run(materializer, order, settings.engine, settings.workers, others)
        seconds = time.perf_counter() - start
        losses = fidelity(materializer)
        with whole_folder(out) as whole:
            materializer.assemble(whole)
        remember(out, scratch)
        pool.forget()
    size = {output.name: sum(file.stat().st_size for file in output.rglob("*")) for output in sorted(out.iterdir())}
    record = {"seconds": seconds, "tokens_computed": work.tokens_computed, "tokens": work.tokens, "bytes": size}
    write_text(Path("data/runs/targets", f"{name}.json"), to_json(record))
    write_text(Path("data/metrics/targets", f"{name}.json"), to_json(losses))
    say(f"targets {name}: {work.tokens_computed} of {work.tokens} tokens read by the teacher in {seconds:.1f} s")


if __name__ == "__main__":
    main()
