"""data/teachers/TEACHER, data/folds/TEACHER, data/prepared/DATASET → data/targets/NAME/"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, atomic_folder, bytes_of, exclusive_lock, to_json, unfinished, write_text
from distill.core.settings import load_entry, read_sections, require_unedited
from distill.params.targets import TargetSettings

if TYPE_CHECKING:
    from distill.targets.materialization.engines import ProcessGroup
    from distill.targets.materialization.materialize import Work


@command
@click.argument("name")
def main(name: str) -> None:
    """Keep what the teacher computes over a prepared data set as the target set NAME. A killed run goes on where it was.

    Started by `torchrun` or `accelerate launch`, its processes share the work.
    """
    from distill.targets.materialization.engines import process_group

    with process_group() as others:
        if others is not None and not others.is_main_process:
            others.work()
        else:
            materialize(name, others)


def materialize(name: str, others: "ProcessGroup | None") -> None:
    """Materialize the set, with the help of the other processes."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    from distill.core.recorded import refuse_to_compute_again

    refuse_to_compute_again(f"targets@{name}")
    from distill.data.dataset import Dataset
    from distill.data.seen import require_unseen
    from distill.targets.materialization import previous
    from distill.targets.materialization.engines import WorkOrder, run
    from distill.targets.materialization.fidelity import measure_fidelity
    from distill.targets.materialization.forward import open_teacher
    from distill.targets.materialization.materialize import Materializer
    from distill.targets.materialization.outputs import job_of
    from distill.targets.materialization.unit_pool import Pool

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    folder, folds = Path("data/teachers", settings.teacher), Path("data/folds", settings.teacher)
    require_unseen(read_sections(PARAMS), folder.as_posix(), dataset, f"{PARAMS}: targets.{name}.teacher")
    out, scratch = Path("data/targets", name), SCRATCH / "targets" / name
    with exclusive_lock(scratch):
        unfinished(out).rmdir()
        teacher = open_teacher(folder, dataset, folds)
        previous.refuse_foreign(out, teacher.fingerprints)
        address = f"{settings.pool.rstrip('/')}/{name}" if settings.pool else None
        pool = Pool(scratch, address)
        base = previous.open_remembered(scratch) or previous.fetch_committed(out, teacher.fingerprints, scratch / "base")
        materializer = Materializer(teacher, dataset, job_of(settings), pool, base)
        materializer.base.forget_cost(scratch)
        start, order = time.perf_counter(), WorkOrder.from_materializer(materializer, folder, dataset.folder, address, folds)
        work = run(materializer, order, settings.engine, settings.workers, others)
        seconds = time.perf_counter() - start
        losses = measure_fidelity(materializer)
        with atomic_folder(out) as whole:
            materializer.assemble(whole)
            require_unedited(PARAMS, "targets", name, settings)
        previous.remember(out, scratch)
        pool.forget()
    write_record(name, work, seconds)
    write_text(Path("data/metrics/targets", f"{name}.json"), to_json(losses))


def write_record(name: str, work: "Work", seconds: float) -> None:
    """Write what a set has cost, earlier runs that made a part of it included, and the bytes of each output; say this run's."""
    from distill.targets.materialization import previous

    scratch, out = SCRATCH / "targets" / name, Path("data/targets", name)
    size = bytes_of(out)
    cost, computed = previous.total_cost(scratch, seconds, work.tokens_computed, work.tokens)
    record = to_json({"seconds": cost, "tokens_computed": computed, "tokens": work.tokens, "bytes": size})
    write_text(scratch / previous.RECORD, record)
    write_text(Path("data/runs/targets", f"{name}.json"), record)
    print_result(f"targets {name}: {work.tokens_computed} of {work.tokens} tokens read by the teacher in {seconds:.1f} s")


if __name__ == "__main__":
    main()
