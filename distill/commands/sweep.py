"""`python -m distill sweep`: students with other params, side by side on Ray Tune, each of them an experiment of DVC's."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from distill.core.console import PARAMS, aligned, command, print_progress
from distill.core.errors import UserError, first_line
from distill.pipeline.trials import WORK, Trial, check_project, experiment_exists, git, reference, run_trial, student_of


@command
@click.option(
    "-S",
    "--set-param",
    "given",
    multiple=True,
    required=True,
    metavar="students.NAME.KEY=VALUE,VALUE",
    help="Several make a grid.",
)
@click.option("--jobs", type=click.IntRange(1), help="Trials at a time; by default as many as there are GPUs, or CPUs.")
@click.option("--threads", type=click.IntRange(1), help="Of each trial; by default the CPUs divided by --jobs.")
def main(given: tuple[str, ...], jobs: int | None, threads: int | None) -> None:
    """Train students with all combinations of params, on this machine or the Ray cluster at RAY_ADDRESS."""
    root = Path.cwd()
    trials = [Trial(overrides) for overrides in grid(given)]
    check_params(trials)
    head = check_project(sorted({name for trial in trials for name in trial.students}))
    done = [trial for trial in trials if experiment_exists(root, head, trial.name)]
    todo = [trial for trial in trials if trial not in done]
    errors = run_trials(root, head, todo, jobs, threads) if todo else {}
    click.echo("\n".join(table(root, head, [trial for trial in trials if trial.name not in errors])))
    if errors:
        raise UserError("\n".join(f"{name}: {error}" for name, error in errors.items()))


def grid(given: Sequence[str]) -> list[tuple[str, ...]]:
    """All combinations, in the order of `dvc exp run --queue`."""
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import HydraException

    for override in given:
        student_of(override)
    try:
        found = [tuple(paths["params"]) for paths in get_hydra_sweeps({"params": list(given)})]
    except (DvcException, HydraException) as error:
        raise UserError(f"-S: {first_line(error)}") from None
    names = [Trial(overrides).name for overrides in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"-S: two trials are {twice[0]}; name each value once")
    return found


def check_params(trials: Sequence[Trial]) -> None:
    """Refuse what a trial's `check` would, before anything runs."""
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    from distill.core.validation import nearest
    from distill.pipeline.needs import require_served
    from distill.pipeline.project import load_params

    students = load_params(PARAMS).students
    WORK.mkdir(parents=True, exist_ok=True)
    for trial in trials:
        for name in trial.students:
            if name not in students:
                raise UserError(f"{name}: no such student in {PARAMS}{nearest(name, students)}")
        changed = PARAMS.with_name(f".{PARAMS.stem}.sweep.yaml")  # beside the file, to which its paths are relative
        shutil.copy(PARAMS, changed)
        try:
            apply_overrides(changed, list(trial.overrides))
            require_served(load_params(changed), changed)
        except DvcException as error:
            keys = ", ".join(override.partition("=")[0] for override in trial.overrides)
            why = str(error.__cause__ or error).splitlines()[0]
            raise UserError(f"-S {keys}: {why} (a key that {PARAMS} does not have yet: -S '+students.NAME.KEY=VALUE')") from None
        except UserError as error:
            raise UserError(str(error).replace(str(changed), trial.name)) from None
        finally:
            changed.unlink()


def divided(cluster: Mapping[str, float], trials: int, jobs: int | None, threads: int | None) -> tuple[int, dict[str, float]]:
    """How many trials run at a time, and the CPUs and GPUs of each."""
    cpus, gpus = int(cluster.get("CPU", 0)), int(cluster.get("GPU", 0))
    if (threads or 1) > cpus:
        raise UserError(f"--threads {threads or 1}: the cluster has {cpus} CPUs")
    jobs = min(jobs or gpus or cpus, trials, cpus // (threads or 1))
    return jobs, {"CPU": float(threads or cpus // jobs), **({"GPU": min(1.0, gpus / jobs)} if gpus else {})}


def run_trials(root: Path, head: str, trials: Sequence[Trial], jobs: int | None, threads: int | None) -> dict[str, str]:
    """Run all on Ray Tune: what went wrong, by the trial's name."""
    from distill.core.ray_cluster import ray_cluster

    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # it would end small workers, not what they have started
    with ray_cluster("ray.tune", "sweep") as ray:
        jobs, share = divided(ray.cluster_resources(), len(trials), jobs, threads)
        threads = int(share["CPU"])
        print_progress(f"sweep: {len(trials)} trials, {jobs} at a time with {threads} threads")

        def trial_function(config: dict[str, int]) -> dict[str, str]:
            trial = trials[config["trial"]]
            return {"name": trial.name, "error": run_trial(root, head, trial, threads)}

        tune = ray.tune
        tuner = tune.Tuner(
            tune.with_resources(trial_function, share),
            param_space={"trial": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=jobs),
            run_config=tune.RunConfig(
                storage_path=str(root / WORK), name="tune", verbose=0, callbacks=[progress(tune, len(trials))]
            ),
        )
        try:
            with quiet_tune():
                results = tuner.fit()
        except RuntimeError as error:  # a worker was lost in a way that Tune does not know
            raise UserError(f"sweep: {first_line(error)}; run it again: trials that are done are kept") from None
    shutil.rmtree(root / WORK / "tune")
    found = {result.metrics["name"]: result.metrics["error"] for result in results if result.metrics and "name" in result.metrics}
    return {trial.name: found.get(trial.name, "its worker died") for trial in trials if found.get(trial.name) != ""}


def progress(tune: Any, total: int) -> Any:
    """A callback of Tune's that says which trials have ended."""
    ended: list[str] = []

    def on_trial_complete(self: Any, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        result = trial.last_result
        ended.append(result["name"])
        print_progress(f"sweep: {result['name']}: {result['error'] or 'done'} ({len(ended)} of {total})")

    return type("Progress", (tune.Callback,), {"on_trial_complete": on_trial_complete})()


@contextlib.contextmanager
def quiet_tune() -> Iterator[None]:
    """Tune's notices are no results."""
    import logging
    import warnings

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings(action="ignore"):
        yield


def table(root: Path, head: str, trials: Sequence[Trial]) -> list[str]:
    """A line for each trial's student, with its score in the metric that its data set names."""
    rows = [("experiment", "student", "metric", "score")]
    for trial in trials:
        for name in trial.students:
            scores = json.loads(git(root, "show", f"{reference(head, trial.name)}:data/metrics/students/{name}.json"))
            rows.append((trial.name, name, scores["metric"], f"{scores[scores['metric']]:.4f}"))
    return aligned(rows)
