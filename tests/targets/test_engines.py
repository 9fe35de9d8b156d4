"""Whoever computes a set, its bytes are the same."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from distill.core.errors import UserError
from distill.core.files import SCRATCH
from distill.data.dataset import Dataset
from distill.targets.materialization import outputs as jobs
from distill.targets.materialization.engines import ProcessGroup, Worker, WorkOrder, run
from distill.targets.materialization.forward import open_teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.unit_pool import Pool
from stages.targets import main
from tests import ranks, tiny
from tests.command_line import contents, environment, invoke
from tests.stores import no_folds
from tests.target_specs import target_spec

PARAMS = (
    "targets:\n  tiny: {teacher: tiny, dataset: tiny, hidden: [0, 2], attention: [2, -1], cls: [1], shard_megabytes: 16MORE}\n"
)
# A unit is 16 MB at least: so small a data set has one of each split otherwise.
SMALL_UNITS = """\
import dataclasses
from distill.targets.materialization import outputs as jobs
job_of = jobs.job_of
jobs.job_of = lambda settings: dataclasses.replace(job_of(settings), shard_bytes=3000)
"""
STAGE = """\
import runpy, sys
sys.argv = ["stages/targets.py", *sys.argv[1:]]
runpy.run_module("stages.targets", run_name="__main__", alter_sys=True)
"""
JOB = target_spec(hidden=(0, 2), attention=(2, -1), cls=(1,), shard_bytes=3000)

FAILING = """\
import os
import distill.targets.materialization.materialize as writer
from distill.core.errors import UserError
compute = writer.Materializer.compute
def failing(self, *arguments):
    if (os.environ['RANK'] == '0') == MAIN:
        raise UserError('the teacher is tired')
    return compute(self, *arguments)
writer.Materializer.compute = failing
"""
# No worker does all units before the other, or the one that replaces it, has started, nor before one is killed.
WAITING = """\
import os, time
from pathlib import Path
import distill.targets.materialization.engines as engine
class Waiting(engine.Worker):
    calls = 0
    def __call__(self, batch):
        Path(PIDS, f'pid-{os.getpid()}').touch()
        end = time.monotonic() + 600
        while self.waits(Path(PIDS, 'killed').exists()) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        self.calls += 1
        return super().__call__(batch)
    def waits(self, killed):
        return len(list(Path(PIDS).glob('pid-*'))) < 2 + killed or (self.calls == 4 and not killed)
engine.Worker = Waiting
"""
LOST = """\
import dataclasses
from pathlib import Path
import distill.targets.materialization.engines as engine
class Failing(engine.Worker):
    def __init__(self, order):
        super().__init__(dataclasses.replace(order, teacher=Path('nowhere')))
engine.Worker = Failing
"""


def project(folder: Path, tokenizer, more: str = "", code: str = "") -> Path:
    """A folder in which the stage `targets` can run; with more settings, and code that its processes run first."""
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS.replace("MORE", more), encoding="utf-8")
    (folder / "small_units.py").write_text(code + SMALL_UNITS + STAGE, encoding="utf-8")
    tiny.prepare(folder / "data/prepared/tiny", tokenizer, (300, 40, 40))
    tiny.save(tiny.bert(layers=3), folder / "data/teachers/tiny", tokenizer)
    no_folds(folder)
    return folder


def start(folder: Path, *launcher: str) -> subprocess.Popen[str]:
    """Start the stage, by a launcher where one is given."""
    command = [sys.executable, *(["-m", *launcher] if launcher else []), "small_units.py", "tiny"]
    variables = environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    return subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it has printed on stderr."""
    with process:
        try:
            errors = process.communicate(timeout=1800)[1]
        finally:
            process.kill()
    return process.returncode, errors


def error_lines(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("error: ")]


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_cpu_threads_per_process", "1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> tuple[dict[str, bytes], list[str], str]:
    """The target set that one process makes; its records after two runs; what the second has printed."""
    folder, records, threads = project(tmp_path_factory.mktemp("alone") / "project", tokenizer), [], torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(jobs, "job_of", lambda settings, real=jobs.job_of: dataclasses.replace(real(settings), shard_bytes=3000))
        torch.set_num_threads(1)
        for _ in range(2):
            shutil.rmtree("data/runs", ignore_errors=True)  # as DVC does before it runs a stage
            done = invoke(main, "tiny")
            assert done.returncode == 0, done.stderr
            records.append(Path("data/runs/targets/tiny.json").read_text())
        torch.set_num_threads(threads)
    return contents(folder / "data/targets/tiny"), records, done.stderr


def test_a_rerun_that_computes_nothing_keeps_the_record(runs):
    _, records, printed = runs
    assert "targets tiny: 0 of " in printed
    assert records[0] == records[1]
    record = json.loads(records[0])
    assert record["seconds"] > 0
    assert record["tokens_computed"] == record["tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_processes_share_the_work_and_make_the_same_bytes(tmp_path, tokenizer, runs, launcher):
    folder = project(tmp_path / "project", tokenizer, more=f", pool: {tmp_path}/pool" if launcher is ACCELERATE else "")
    code, errors = finish(start(folder, *launcher))
    assert code == 0, errors
    assert contents(folder / "data/targets/tiny") == runs[0]
    assert errors.count("tokens read by the teacher") == 1
    assert not list((tmp_path / "pool").glob("tiny/*"))


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_with_one_line(tmp_path, tokenizer):
    folders = {main: project(tmp_path / f"main-{main}", tokenizer) for main in (True, False)}
    jobs = [
        ranks.Job(str(folder), "stages.targets", "tiny", FAILING.replace("MAIN", str(main)) + SMALL_UNITS)
        for main, folder in folders.items()
    ]
    for folder, (code, errors) in zip(folders.values(), ranks.launch(jobs), strict=True):
        assert code != 0
        assert error_lines(errors) == ["error: the teacher is tired"]
        assert not (folder / "data/targets/tiny").exists()


@pytest.mark.slow
def test_a_killed_ray_worker_is_replaced_and_the_bytes_are_the_same(tmp_path, tokenizer, runs):
    folder = project(tmp_path / "project", tokenizer, ", engine: ray, workers: 2", WAITING.replace("PIDS", repr(str(tmp_path))))
    with start(folder) as process:
        try:
            killed = kill_a_worker(tmp_path, folder / SCRATCH / "targets/tiny", process)
        except BaseException:
            process.kill()
            raise
        code, errors = finish(process)
    assert code == 0, errors
    assert contents(folder / "data/targets/tiny") == runs[0]
    assert len(set(tmp_path.glob("pid-*")) - {killed}) == 2


def kill_a_worker(pids: Path, scratch: Path, process: subprocess.Popen[str], seconds: float = 600) -> Path:
    """Kill one of two workers once some units are done; the file that it left."""
    end = time.monotonic() + seconds
    while len(list(pids.glob("pid-*"))) < 2 or len(list(scratch.glob("*.arrow"))) < 10:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    first = min(pids.glob("pid-*"))
    Path(pids, "killed").touch()
    os.kill(int(first.name.removeprefix("pid-")), signal.SIGKILL)
    return first


@pytest.mark.slow
def test_an_error_of_a_ray_worker_is_one_line(tmp_path, tokenizer):
    code, errors = finish(start(project(tmp_path / "project", tokenizer, ", engine: ray, workers: 1", LOST)))
    assert code == 1
    (line,) = error_lines(errors)
    assert line.startswith("error: nowhere: no model")
    assert "Traceback" not in errors


@pytest.fixture
def opened(teacher, prepared, tmp_path):
    """A materializer, and the order that it gives."""
    dataset = Dataset.open(prepared)
    made = Materializer(open_teacher(teacher, dataset), dataset, JOB, Pool(tmp_path / "leader"))
    return made, WorkOrder.from_materializer(made, teacher, prepared, str(tmp_path / "pool"))


def test_an_order_is_all_that_another_machine_needs(opened, tmp_path):
    made, order = opened
    elsewhere = dataclasses.replace(order, scratch=tmp_path / "elsewhere")
    other = elsewhere.open()
    other.compute(order.units)
    made.pool = Pool(tmp_path / "leader", order.pool)
    assert [unit for unit in made.missing() if made.read(unit)] == []
    expected = sum(int(rows.lengths[rows.firsts()].sum()) for rows in made.rows.values())
    assert sum(map(made.read, order.units)) == expected


def test_a_ray_worker_does_units_by_number_and_tells_what_went_wrong(opened, tmp_path):
    made, order = opened
    done = Worker(order)({"item": [0]})
    assert done == {"item": [0], "error": [""]}
    made.pool = Pool(tmp_path / "leader", order.pool)
    assert made.file(order.units[0], "logits").name in made.pool.names()
    done = Worker(dataclasses.replace(order, dataset=Path("nowhere")))({"item": [0]})
    assert "nowhere" in done["error"][0]


def test_units_that_others_have_put_elsewhere_are_missed(opened):
    class Elsewhere(ProcessGroup):
        def __init__(self) -> None:
            pass

        def work(self, made, order) -> None:
            pass

    made, order = opened
    with pytest.raises(UserError, match=f"{len(order.units)} of {len(order.units)} units that others have computed are not in"):
        run(made, order, "local", None, Elsewhere())


def test_without_ray_the_extra_is_named(opened, monkeypatch):
    made, order = opened
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[ray\]'"):
        run(made, order, "ray", None, None)
