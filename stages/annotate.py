"""data/prepared/DATASET or data/selections/NAME → data/annotations/NAME/"""

import asyncio
from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, atomic_folder
from distill.core.settings import load_entry, require_unedited
from distill.params.annotators import AnnotatorSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Have a language model label the rows of the annotator NAME. A killed run asks again for what was in flight, no more."""
    settings = load_entry(PARAMS, "annotators", name, AnnotatorSettings)
    from distill.core.recorded import refuse_to_compute_again

    refuse_to_compute_again(f"annotate@{name}")
    from distill.annotation.client import Client
    from distill.annotation.prompts import extras
    from distill.annotation.responses import Responses, read_committed
    from distill.annotation.table import write_annotations
    from distill.annotation.work import open_work

    where, out, responses = f"{PARAMS}: annotators.{name}", Path("data/annotations", name), Responses()
    read_committed(responses, out, SCRATCH / "annotations" / name)
    annotator, rows, dataset = open_work(settings, responses, where)

    async def ask() -> int:
        client = Client(settings, where, extras(settings, annotator.form), lambda text: print_result(f"annotate {name}: {text}"))
        try:
            await annotator.ask([texts for part in rows.values() for texts in part], client, f"annotate {name}")
        finally:
            await client.close()
        return client.sent

    with atomic_folder(out) as folder:
        sent = asyncio.run(ask())
        made = write_annotations(folder, annotator, rows, dataset)
        require_unedited(PARAMS, "annotators", name, settings)
    responses.close()
    for split, part in made["splits"].items():
        why = "".join(f", {count} {reason}" for reason, count in part["unanswered"].items())
        print_result(f"annotate {name}: {split}: {part['answered']} of {part['rows']} rows have an answer{why}")
    tokens = made["prompt_tokens"] + made["answer_tokens"]
    print_result(f"annotate {name}: {sent} requests sent, {made['requests']} answers in all, {tokens:,} tokens")


if __name__ == "__main__":
    main()
