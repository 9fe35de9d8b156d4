"""A team over real remotes: what a publisher pushes, a teammate trains on without the teacher. docs/team.md."""

import hashlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.projects import attempt, commit, copy, edit_params, environment, reproduced, run, stages_run

pytestmark = pytest.mark.slow
BUCKET = "team"
MATE = {"recipe": "hinton", "dataset": "tiny", "targets": "tiny/logits", "init": {"from": "data/inits/hinton"}, "temperature": 2}
SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
DICE = {
    "recipe": "hinton",
    "dataset": "tiny",
    "targets": "tiny/logits",
    "init": {"from": "data/prepared/tiny", "architecture": SHAPE},
}


@dataclass(frozen=True)
class Team:
    """A publisher's project, pushed with git and dvc."""

    publisher: Path
    origin: Path
    """The bare repository that both clone and push to."""

    def teammate(self, folder: Path) -> Path:
        """A clean clone."""
        run(folder.parent, f"git clone --quiet {self.origin} {folder}")
        return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server on this machine, with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).parent / "moto_server", "--host", "127.0.0.1", "--port", str(port)],
        env=environment(Path.cwd()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        make_bucket(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def make_bucket(port: int, seconds: float = 60) -> None:
    """Wait for the server, then make the bucket."""
    end = time.monotonic() + seconds
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
            return
        except OSError:
            assert time.monotonic() < end, f"no S3 server within {seconds} s"
            time.sleep(0.2)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose owner is trying another temperature for the student `hinton`; nothing of that is committed."""
    project = copy(reproduced(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("tried") / "project")
    edit_params(project, students={"hinton": {"temperature": 8}})
    assert stages_run(run(project, "dvc repro student@hinton")) == {"check", "student@hinton"}
    return project


def publish(tried: Path, folder: Path, address: str, options: dict[str, str]) -> Team:
    """Share a copy of the project as docs/team.md has it: first what is being tried, then, with that taken back, the results."""
    publisher = copy(tried, folder / "publisher")
    run(folder, "git init --quiet --bare --initial-branch=main origin.git")
    run(publisher, f"git remote add origin {folder}/origin.git")
    run(publisher, f"dvc remote add --default team {address}")
    for name, value in options.items():
        run(publisher, f"dvc remote modify team {name} {value}")
    run(publisher, "dvc push --run-cache")
    run(publisher, "git checkout params.yaml dvc.lock && dvc checkout")
    commit(publisher, "the remote")
    run(publisher, "dvc push && git push --quiet --set-upstream origin main")
    return Team(publisher, folder / "origin.git")


@pytest.fixture(scope="module")
def local_team(tried: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    folder = tmp_path_factory.mktemp("local")
    return publish(tried, folder, str(folder / "remote"), {"verify": "true"})


@pytest.fixture(scope="module")
def s3_team(tried: Path, tmp_path_factory: pytest.TempPathFactory, s3: str) -> Team:
    return publish(tried, tmp_path_factory.mktemp("s3"), f"s3://{BUCKET}/distill", {"endpointurl": s3, "verify": "true"})


@pytest.fixture(params=["local", "s3"])
def team(request: pytest.FixtureRequest) -> Team:
    return request.getfixturevalue(f"{request.param}_team")


def assert_no_teacher(clone: Path, publisher: Path) -> None:
    """Neither the working folder nor DVC's cache holds the teacher."""
    weights = (publisher / "data/teachers/tiny/model.safetensors").read_bytes()
    digest = hashlib.md5(weights, usedforsecurity=False).hexdigest()
    assert (publisher / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).exists()
    assert not (clone / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).exists()
    assert not (clone / "data/teachers").exists()


def test_a_teammate_distills_without_the_teacher_and_the_hidden_states(team: Team, tmp_path: Path) -> None:
    clone = team.teammate(tmp_path / "clone")
    edit_params(clone, students={"mate": MATE})
    output = run(clone, "dvc repro --pull --allow-missing student@mate")
    assert stages_run(output) == {"check", "init@mate", "student@mate"}
    assert (clone / "data/students/mate/model.safetensors").exists()
    assert [path.name for path in (clone / "data/targets/tiny").iterdir()] == ["logits"]
    assert_no_teacher(clone, team.publisher)


def test_what_anybody_has_tried_comes_from_the_run_cache(team: Team, tmp_path: Path) -> None:
    clone = team.teammate(tmp_path / "clone")
    edit_params(clone, students={"hinton": {"temperature": 8}})
    output = run(clone, "dvc repro --pull --allow-missing student@hinton")
    assert stages_run(output) == set()  # not even `check`: it has been tried too
    assert "Stage 'student@hinton' is cached - skipping run, checking out outputs" in output
    student = "data/students/hinton/model.safetensors"
    assert (clone / student).read_bytes() != (team.publisher / student).read_bytes()


def test_a_student_that_reads_hidden_states_needs_the_whole_target_set_pulled(local_team: Team, tmp_path: Path) -> None:
    clone = local_team.teammate(tmp_path / "clone")
    run(clone, "dvc pull data/targets/tiny/logits")
    edit_params(clone, students={"distilbert": {"temperature": 3}})
    run(clone, "dvc pull targets@tiny")
    assert stages_run(run(clone, "dvc repro --pull --allow-missing student@distilbert")) == {"check", "student@distilbert"}
    assert_no_teacher(clone, local_team.publisher)


def test_a_set_grows_in_a_clean_clone_from_the_version_that_is_committed(local_team: Team, tmp_path: Path) -> None:
    clone = local_team.teammate(tmp_path / "clone")
    edit_params(clone, targets={"tiny": {"shard_megabytes": 16}})
    output = run(clone, "dvc repro --pull --allow-missing targets@tiny")
    assert stages_run(output) == {"check", "targets@tiny"}
    assert "fetching the version that dvc.lock names" in output
    assert "targets tiny: 0 of " in output
    own, theirs = clone / "data/targets/tiny", local_team.publisher / "data/targets/tiny"
    for file in (file for file in theirs.rglob("*") if file.is_file()):
        assert (own / file.relative_to(theirs)).read_bytes() == file.read_bytes()


def test_a_random_student_needs_prepared_data_and_logits_alone_and_comes_back_to_the_publisher_who_makes_the_report(
    tried: Path, tmp_path: Path
) -> None:
    team = publish(tried, tmp_path, str(tmp_path / "remote"), {"verify": "true"})
    clone = team.teammate(tmp_path / "clone")
    edit_params(clone, students={"dice": DICE})
    output = run(clone, "dvc repro --pull --allow-missing evaluate@dice")
    assert stages_run(output) == {"check", "init@dice", "student@dice", "evaluate@dice"}
    assert [path.name for path in (clone / "data/inits").iterdir()] == ["dice"]
    assert [path.name for path in (clone / "data/targets/tiny").iterdir()] == ["logits"]
    assert_no_teacher(clone, team.publisher)
    assert "data/metrics/students/dice.json" in run(clone, "dvc metrics diff")
    run(clone, "git add --all && git commit --quiet --message 'a student' && dvc push --run-cache && git push --quiet")
    run(team.publisher, "git pull --quiet && dvc pull --allow-missing")
    assert stages_run(run(team.publisher, "dvc repro")) == {"export@dice", "benchmark", "report"}
    assert "dice" in (team.publisher / "data/report/results.md").read_text(encoding="utf-8")


def test_a_damaged_file_of_the_remote_is_found_and_not_used(tried: Path, tmp_path: Path) -> None:
    team = publish(tried, tmp_path, str(tmp_path / "remote"), {"verify": "true"})
    logits = (team.publisher / "data/targets/tiny/logits/train/part-00000.arrow").read_bytes()
    digest = hashlib.md5(logits, usedforsecurity=False).hexdigest()
    stored = tmp_path / "remote/files/md5" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    stored.write_bytes(logits[:-1] + bytes([logits[-1] ^ 1]))
    clone = team.teammate(tmp_path / "clone")
    assert attempt(clone, "dvc pull data/targets/tiny/logits")[0] != 0
    assert not (clone / "data/targets/tiny/logits/train/part-00000.arrow").exists()
