"""data/prepared/OF, data/teachers/TEACHER → data/prepared/NAME/"""

import shutil
import time
from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, atomic_folder, to_json, write_text
from distill.core.settings import load_entry, require_unedited
from distill.params.augmentations import AugmentationSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Write the training rows of a data set, and copies of them with other words, as the data set NAME."""
    settings = load_entry(PARAMS, "augmentations", name, AugmentationSettings)
    from distill.augmentation.augment import write_augmented
    from distill.augmentation.augmenter import open_augmenter
    from distill.augmentation.chunks import Chunks, chunks_key
    from distill.data.dataset import Dataset

    dataset = Dataset.open(Path("data/prepared", settings.of))
    start = time.perf_counter()
    teacher = Path("data/teachers", settings.teacher)
    augmenter = open_augmenter(teacher, dataset.max_length, settings)
    chunks = Chunks(SCRATCH / "augmentations" / name, chunks_key(teacher, settings, dataset.max_length))
    with atomic_folder(Path("data/prepared", name)) as folder:
        made = write_augmented(folder, dataset, augmenter, chunks, settings.limit)
        require_unedited(PARAMS, "augmentations", name, settings)
    shutil.rmtree(chunks.folder, ignore_errors=True)
    seconds = time.perf_counter() - start
    write_text(Path("data/runs/augmentations", f"{name}.json"), to_json({**made["splits"]["train"], "seconds": seconds}))
    counts = made["splits"]["train"]["counts"]
    copied = f"{counts['copies']} copies of {counts['reworded_rows']} rows ({counts['dropped_copies']} were like another row)"
    print_result(f"augment {name}: train: {made['splits']['train']['rows']} rows, {copied}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
