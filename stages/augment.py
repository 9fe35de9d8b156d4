"""data/prepared/OF, data/teachers/MASKED_LM → data/prepared/NAME/"""

import shutil
import time
from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import SCRATCH, to_json, whole_folder, write_text
from distill.params.augmentations import AugmentationSettings
from distill.params.base import load_entry


@command
@click.argument("name")
def main(name: str) -> None:
    """Write the training rows of a data set, and copies of them with other words, as the data set NAME."""
    settings = load_entry(PARAMS, "augmentations", name, AugmentationSettings)
    from distill.augmentation.chunks import Chunks, chunks_key
    from distill.augmentation.dataset import write_augmented
    from distill.augmentation.model import open_augmenter
    from distill.prepared import Dataset

    dataset = Dataset.open(Path("data/prepared", settings.of))
    start = time.perf_counter()
    masked_lm = Path("data/teachers", settings.masked_lm)
    augmenter = open_augmenter(
        masked_lm,
        dataset.max_length,
        copies=settings.copies,
        candidates=settings.candidates,
        probability=settings.probability,
        seed=settings.seed,
        vectors=Path(settings.vectors) if settings.vectors is not None else None,
    )
    chunks = Chunks(SCRATCH / "augmentations" / name, chunks_key(masked_lm, settings, dataset.max_length))
    with whole_folder(Path("data/prepared", name)) as folder:
        made = write_augmented(folder, dataset, augmenter, chunks, settings.limit)
    shutil.rmtree(chunks.folder, ignore_errors=True)
    seconds = time.perf_counter() - start
    write_text(Path("data/runs/augmentations", f"{name}.json"), to_json({**made["splits"]["train"], "seconds": seconds}))
    counts = made["splits"]["train"]["counts"]
    copied = f"{counts['copies']} copies of {counts['reworded_rows']} rows ({counts['dropped_copies']} were like another row)"
    say(f"augment {name}: train: {made['splits']['train']['rows']} rows, {copied}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
