"""data/teachers/TEACHER, data/prepared/DATASET → data/targets/NAME/"""

import time
from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import SCRATCH, sole_writer, to_json, whole_folder, write_text
from distill.params.base import load_entry
from distill.params.targets import TargetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Keep what the teacher computes over a prepared data set as the target set NAME. A killed run goes on where it was."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    from distill.devices import best_device
    from distill.prepared import Dataset
    from distill.targets.teacher import open_teacher
    from distill.targets.writer import Job, Materializer, refuse_foreign

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    out = Path("data/targets", name)
    scratch = SCRATCH / "targets" / name
    with sole_writer(scratch):
        model, fingerprints = open_teacher(Path("data/teachers", settings.teacher), dataset)
        refuse_foreign(out, fingerprints)
        job = Job(
            hidden=settings.hidden,
            hidden_splits=settings.hidden_splits,
            codec=settings.codec,
            shard_bytes=settings.shard_megabytes * 2**20,
            batch_tokens=settings.batch_tokens,
            precision=settings.precision,
        )
        materializer = Materializer(model.to(best_device()), dataset, fingerprints, job, scratch)
        start = time.perf_counter()
        work = materializer.run()
        seconds = time.perf_counter() - start
        with whole_folder(out) as folder:
            materializer.assemble(folder)
    size = {output.name: sum(file.stat().st_size for file in output.rglob("*")) for output in sorted(out.iterdir())}
    record = {"seconds": seconds, "tokens_computed": work.tokens_computed, "tokens": work.tokens, "bytes": size}
    write_text(Path("data/runs/targets", f"{name}.json"), to_json(record))
    say(f"targets {name}: {work.tokens_computed} of {work.tokens} tokens read by the teacher in {seconds:.1f} s")


if __name__ == "__main__":
    main()
