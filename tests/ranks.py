"""Two processes as `torchrun` starts them, forked from one that has loaded the libraries, which `torchrun` loads in each.

Started as `-m tests.ranks JOBS`. As with `torchrun`, one process that fails ends the other.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.command_line import ROOT, environment

LOADED = ("distill.students.distill", "distill.training.fine_tuning", "distill.targets.materialization.engines")
STDERR = "stderr.txt"


@dataclass(frozen=True)
class Job:
    """A stage that two processes run in a folder."""

    folder: str
    stage: str
    name: str
    code: str = ""
    """What both run first."""


def launch(jobs: Sequence[Job]) -> list[tuple[int, str]]:
    """Run one job after the other: the exit code of each, 0 if both processes ended well, and what they wrote to stderr."""
    arguments = [sys.executable, "-m", "tests.ranks", json.dumps([asdict(job) for job in jobs])]
    variables = environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    done = subprocess.run(arguments, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [
        (code, Path(job.folder, STDERR).read_text(encoding="utf-8"))
        for job, code in zip(jobs, json.loads(done.stdout), strict=True)
    ]


def _run(job: Job) -> int:
    """Fork two processes and wait for them. The first may listen where a socket of this one holds the port, and nobody else."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        return _wait({_fork(job, rank, held.getsockname()[1]) for rank in range(2)})


def _wait(ranks: set[int]) -> int:
    """The exit code of the first process that failed, which ends the other."""
    failed = 0
    while ranks:
        pid, status = os.wait()
        ranks.discard(pid)
        failed = failed or os.waitstatus_to_exitcode(status)
        if failed:
            for other in ranks:
                os.kill(other, signal.SIGTERM)
    return failed


def _fork(job: Job, rank: int, port: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(job.folder)
        os.dup2(os.open(STDERR, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        os.dup2(2, 1)
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        sys.argv = [job.stage, job.name]
        exec(job.code, {})
        runpy.run_module(job.stage, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import importlib

    for name in LOADED:
        importlib.import_module(name)
    print(json.dumps([_run(Job(**job)) for job in json.loads(sys.argv[1])]))
