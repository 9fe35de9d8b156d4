"""Whoever computes a set, its bytes are the same."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.files import SCRATCH
from distill.prepared import Dataset
from distill.targets.engines import Crew, Order, run
from distill.targets.layout import unique_rows
from distill.targets.outputs import Job
from distill.targets.pool import Pool, open_pool
from distill.targets.ray_engine import Worker
from distill.targets.teacher import open_teacher
from distill.targets.writer import Materializer
from tests import tiny
from tests.commands import contents, environment, whole_params

PARAMS = """\
targets:
  NAME: {teacher: tiny, dataset: tiny, hidden: [0, 2], attention: [2, -1], cls: [1], shard_megabytes: 16MORE}
"""
# A unit is 16 MB at least: so small a data set has one of each split otherwise.
SMALL_UNITS = """\
import dataclasses, runpy, sys
from distill import jobs
job_of = jobs.job_of
jobs.job_of = lambda settings: dataclasses.replace(job_of(settings), shard_bytes=3000)
sys.argv = ["stages/targets.py", *sys.argv[1:]]
runpy.run_module("stages.targets", run_name="__main__", alter_sys=True)
"""
JOB = Job(hidden=(0, 2), attention=(2, -1), cls=(1,), shard_bytes=3000)


def project(folder: Path, tokenizer, name: str = "tiny", more: str = "") -> Path:
    """A folder in which the stage `targets` can run."""
    folder.mkdir()
    (folder / "params.yaml").write_text(whole_params(PARAMS.replace("NAME", name).replace("MORE", more)), encoding="utf-8")
    (folder / "small_units.py").write_text(SMALL_UNITS, encoding="utf-8")
    tiny.prepare(folder / "data/prepared/tiny", tokenizer, (300, 40, 40))
    tiny.save(tiny.bert(layers=3), folder / "data/teachers/tiny", tokenizer)
    return folder


def stage(folder: Path, *launcher: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the stage, by a launcher where one is given."""
    command = [sys.executable, *(["-m", *launcher] if launcher else []), "small_units.py", "tiny"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_cpu_threads_per_process", "1")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> dict[str, bytes]:
    """The target set that one process makes."""
    folder = project(tmp_path_factory.mktemp("alone") / "project", tokenizer)
    done = stage(folder)
    assert done.returncode == 0, done.stderr
    return contents(folder / "data/targets/tiny")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_processes_share_the_work_and_make_the_same_bytes(tmp_path, tokenizer, alone, launcher):
    folder = project(tmp_path / "project", tokenizer, more=f", pool: {tmp_path}/pool" if launcher is ACCELERATE else "")
    done = stage(folder, *launcher)
    assert done.returncode == 0, done.stderr
    assert contents(folder / "data/targets/tiny") == alone
    assert done.stderr.count("tokens read by the teacher") == 1
    assert not list((tmp_path / "pool").glob("tiny/*"))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["leader", "follower"])
def test_an_error_of_one_process_ends_all_with_one_line(tmp_path, tokenizer, where):
    folder = project(tmp_path / "project", tokenizer)
    code = (
        "import os\n"
        "import distill.targets.writer as writer\n"
        "from distill.errors import UserError\n"
        "compute = writer.Materializer.compute\n"
        "def failing(self, *arguments):\n"
        f"    if (os.environ['RANK'] == '0') == {where == 'leader'}:\n"
        "        raise UserError('the teacher is tired')\n"
        "    return compute(self, *arguments)\n"
        "writer.Materializer.compute = failing\n"
    )
    (folder / "small_units.py").write_text(code + SMALL_UNITS, encoding="utf-8")
    done = stage(folder, *TORCHRUN)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == ["error: the teacher is tired"]
    assert not (folder / "data/targets/tiny").exists()


@pytest.mark.slow
def test_a_killed_ray_worker_is_replaced_and_the_bytes_are_the_same(tmp_path, tokenizer, alone):
    folder = project(tmp_path / "project", tokenizer, more=", engine: ray, workers: 2")
    slow = (
        "import time, os\n"
        "from pathlib import Path\n"
        "import distill.targets.ray_engine as engine\n"
        "class Slow(engine.Worker):\n"
        "    def __call__(self, batch):\n"
        f"        Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n"
        "        time.sleep(0.1)\n"
        "        return super().__call__(batch)\n"
        "engine.Worker = Slow\n"
    )
    (folder / "small_units.py").write_text(slow + SMALL_UNITS, encoding="utf-8")
    command = [sys.executable, "small_units.py", "tiny"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        killed = kill_a_worker(tmp_path, folder / SCRATCH / "targets/tiny", process)
        errors = process.communicate(timeout=200)[1]
    assert process.returncode == 0, errors
    assert contents(folder / "data/targets/tiny") == alone
    assert len(set(tmp_path.glob("pid-*")) - {killed}) == 2


def kill_a_worker(pids: Path, scratch: Path, process: subprocess.Popen[str], seconds: float = 120) -> Path:
    """Kill one of two workers once some units are done; the file that it left."""
    end = time.monotonic() + seconds
    while len(list(pids.glob("pid-*"))) < 2 or len(list(scratch.glob("*.arrow"))) < 10:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    first = min(pids.glob("pid-*"))
    os.kill(int(first.name.removeprefix("pid-")), signal.SIGKILL)
    return first


@pytest.mark.slow
def test_an_error_of_a_ray_worker_is_one_line(tmp_path, tokenizer):
    folder = project(tmp_path / "project", tokenizer, more=", engine: ray, workers: 2")
    code = (
        "import distill.targets.ray_engine as engine\n"
        "from distill.errors import UserError\n"
        "class Failing(engine.Worker):\n"
        "    def __init__(self, order):\n"
        "        import dataclasses\n"
        "        from pathlib import Path\n"
        "        super().__init__(dataclasses.replace(order, teacher=Path('nowhere')))\n"
        "engine.Worker = Failing\n"
    )
    (folder / "small_units.py").write_text(code + SMALL_UNITS, encoding="utf-8")
    done = stage(folder)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: nowhere: no model")
    assert "Traceback" not in done.stderr


@pytest.fixture
def opened(teacher, prepared, tmp_path):
    """A materializer, and the order that it gives."""
    dataset = Dataset.open(prepared)
    made = Materializer(open_teacher(teacher, dataset), dataset, JOB, Pool(tmp_path / "leader"))
    return made, Order.of(made, teacher, prepared, str(tmp_path / "pool"))


def test_an_order_is_all_that_another_machine_needs(opened, tmp_path):
    made, order = opened
    elsewhere = dataclasses.replace(order, scratch=tmp_path / "elsewhere")
    other = elsewhere.open()
    for unit in order.units:
        other.compute(unit)
    made.pool = open_pool(tmp_path / "leader", order.pool)
    assert [unit for unit in made.missing() if made.read(unit)] == []
    expected = sum(int(rows.lengths[unique_rows(rows)].sum()) for rows in made.rows.values())
    assert sum(map(made.read, order.units)) == expected


def test_a_ray_worker_does_units_by_number_and_tells_what_went_wrong(opened, tmp_path):
    made, order = opened
    done = Worker(order)({"item": [0]})
    assert done == {"item": [0], "error": [""]}
    made.pool = open_pool(tmp_path / "leader", order.pool)
    assert made.file(order.units[0], "logits").name in made.pool.names()
    done = Worker(dataclasses.replace(order, dataset=Path("nowhere")))({"item": [0]})
    assert "nowhere" in done["error"][0]


def test_units_that_others_have_put_elsewhere_are_missed(opened):
    class Elsewhere(Crew):
        def __init__(self) -> None:
            pass

        def run(self, made, order) -> None:
            pass

    made, order = opened
    with pytest.raises(UserError, match=f"{len(order.units)} of {len(order.units)} units that others have computed are not in"):
        run(made, order, "local", None, Elsewhere())


def test_without_ray_the_extra_is_named(opened, monkeypatch):
    made, order = opened
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'distill\[ray\]'"):
        run(made, order, "ray", None, None)
