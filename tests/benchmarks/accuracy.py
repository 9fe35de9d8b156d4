"""`python -m tests.benchmarks.accuracy STUDENT`: whether students can tell int8 targets from fp32, over five seeds.

Run it in a project whose teacher has been trained (`make demo`). The student of params.yaml is trained from a store in fp32 and
from one in int8, the same seeds each; the test is a paired t-test of the measures on the test split. Prints a table.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import ttest_rel

from distill.core.console import PARAMS, quiet_libraries
from distill.recipes.loading import load_student


def main(name: str, seeds: tuple[int, ...] = (1, 2, 3, 4, 5)) -> None:
    """Train ten students, and compare them in pairs."""
    quiet_libraries()
    from distill.core.devices import best_device
    from distill.core.settings import load_entry
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.params.targets import TargetSettings
    from distill.store.target_set import TargetStore
    from distill.students.distill import distill_student
    from distill.targets.materialization.forward import open_teacher
    from distill.targets.materialization.materialize import Materializer
    from distill.targets.materialization.outputs import job_of
    from distill.tasks.base import EvaluationSplit
    from distill.tasks.registry import task_of

    student = load_student(PARAMS, name).model_copy(update={"seeds": seeds})
    targets = load_entry(PARAMS, "targets", student.target_set, TargetSettings)
    dataset = Dataset.open(Path("data/prepared", student.dataset))
    task, references = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    found: dict[str, dict[str, list[float]]] = {"fp32": {}, "int8": {}}
    with tempfile.TemporaryDirectory(dir="data") as temporary:
        for codec, measures in found.items():
            folder = Path(temporary, codec)
            job = job_of(targets.model_copy(update={"codec": codec}))
            made = Materializer(open_teacher(Path("data/teachers", targets.teacher), dataset), dataset, job, folder / "scratch")
            made.run()
            made.assemble(folder / "set")
            store, out = TargetStore.open(folder / "set"), folder / "students"
            distill_student(Path("data/inits", name), dataset, store, student, out, folder / "training", f"{name} {codec}")
            best = {path.name: path for path in (out / "seeds").iterdir()}
            for seed in seeds:
                model, _ = load_for(best.get(str(seed), out), dataset)
                kept = predict(model.to(best_device()), task, references.rows, f"{codec} {seed}")
                for measure, value in task.measures(kept, references).items():
                    measures.setdefault(measure, []).append(value)
    for measure in (dataset.metric, "log_loss"):
        for codec, measures in found.items():
            print(f"{measure} {codec}: {' '.join(f'{value:.5f}' for value in measures[measure])}")
        int8, fp32 = (np.array(found[codec][measure]) for codec in ("int8", "fp32"))
        p_value = ttest_rel(int8, fp32).pvalue if (int8 != fp32).any() else 1.0
        print(f"{measure}, int8 − fp32: {(int8 - fp32).mean():+.5f}, paired t-test over {len(seeds)} seeds: p = {p_value:.2f}\n")


if __name__ == "__main__":
    main(sys.argv[1])
