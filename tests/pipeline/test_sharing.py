"""A team over real remotes: what a publisher pushes, a teammate trains on without the teacher. docs/team.md."""

import hashlib
import http.client
import re
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.buckets import s3_server
from tests.command_line import contents
from tests.projects import attempt, commit, copy, edit_params, made_once, run, run_stages, stages_run, tried

__all__ = ["s3_server"]

pytestmark = pytest.mark.slow
BUCKET = "team"
SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
RANDOM = {
    "recipe": "hinton",
    "dataset": "tiny",
    "targets": "tiny/logits",
    "init": {"from": "data/prepared/tiny", "architecture": SHAPE},
}


@dataclass(frozen=True)
class Team:
    """A folder with a publisher's project, pushed to a remote of DVC and to the bare repository that all clone and push to."""

    folder: Path

    @property
    def publisher(self) -> Path:
        return self.folder / "publisher"

    def teammate(self) -> Path:
        """A clean clone."""
        run(self.folder, "git clone --quiet origin.git clone")
        return self.folder / "clone"


@pytest.fixture(scope="module")
def s3(s3_server: str) -> str:
    """The address of an S3 server on this machine, with an empty bucket."""
    with closing(http.client.HTTPConnection(s3_server.removeprefix("http://"))) as connection:
        connection.request("PUT", f"/{BUCKET}")
        assert connection.getresponse().status == 200
    return s3_server


def publish(base: Path, folder: Path) -> None:
    """Share the project as docs/team.md has it: first what is being tried, then, with that taken back, the results."""
    publisher = copy(tried(base), folder / "publisher")
    run(folder, "git init --quiet --bare --initial-branch=main origin.git")
    run(publisher, "git remote add origin ../origin.git && dvc remote add --default team ../remote")
    run(publisher, "dvc remote modify team verify true && dvc push --run-cache")
    run(publisher, "git checkout params.yaml dvc.lock data/metrics && dvc checkout")
    commit(publisher, "the remote")
    run(publisher, "git push --quiet --set-upstream origin main && dvc push")


@pytest.fixture
def team(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Team:
    base = tmp_path_factory.getbasetemp()
    return Team(copy(made_once(base, "published", lambda folder: publish(base, folder)), tmp_path / "team"))


def assert_no_teacher(clone: Path, publisher: Path) -> None:
    """Neither the working folder nor DVC's cache holds the teacher."""
    weights = (publisher / "data/teachers/tiny/model.safetensors").read_bytes()
    digest = hashlib.md5(weights, usedforsecurity=False).hexdigest()
    assert (publisher / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).exists()
    assert not (clone / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).exists()
    assert not (clone / "data/teachers").exists()


def test_a_random_student_needs_prepared_data_and_logits_alone_and_comes_back_to_the_publisher_who_makes_the_report(
    team: Team, s3: str
) -> None:
    run(team.publisher, f"dvc remote add --default s3 s3://{BUCKET}/distill && dvc remote modify s3 endpointurl {s3}")
    commit(team.publisher, "another remote")
    run(team.publisher, "dvc push && git push --quiet")
    shutil.rmtree(team.folder / "remote")
    clone = team.teammate()
    edit_params(clone, students={"random": RANDOM})
    output = run(clone, "dvc repro --pull --allow-missing evaluate@random")
    assert stages_run(output) == {"init@random", "student@random", "evaluate@random"}
    assert [path.name for path in (clone / "data/inits").iterdir()] == ["random"]
    assert [path.name for path in (clone / "data/targets/tiny").iterdir()] == ["logits"]
    assert_no_teacher(clone, team.publisher)
    assert "data/metrics/students/random.json" in run(clone, "dvc metrics diff")
    run(clone, "git add --all && git commit --quiet --message 'a student' && dvc push --run-cache && git push --quiet")
    run(team.publisher, "git pull --quiet && dvc pull --allow-missing")
    assert stages_run(run(team.publisher, "dvc repro")) == {"export@random", "benchmark", "report"}
    assert "random" in (team.publisher / "data/report/results.md").read_text(encoding="utf-8")


def test_what_anybody_has_tried_comes_from_the_run_cache(team: Team) -> None:
    clone = team.teammate()
    edit_params(clone, students={"hinton": {"temperature": 8}})
    output = run(clone, "dvc repro --pull --allow-missing student@hinton")
    assert stages_run(output) == set()
    assert "Stage 'student@hinton' is cached - skipping run, checking out outputs" in output
    student = "data/students/hinton/model.safetensors"
    assert (clone / student).read_bytes() != (team.publisher / student).read_bytes()


def test_a_student_reads_hidden_states_once_the_whole_target_set_is_pulled_and_the_initial_student_of_another(team: Team) -> None:
    clone = team.teammate()
    init = {"from": "data/inits/hinton"}
    edit_params(clone, students={"distilbert": {"temperature": 3}, "mate": {**RANDOM, "init": init, "temperature": 2}})
    run(clone, "dvc pull data/targets/tiny/logits")
    run(clone, "dvc pull targets@tiny init@distilbert init@hinton prepare@tiny")
    run_stages(clone, "check", "student@distilbert", "init@mate", "student@mate")
    assert_no_teacher(clone, team.publisher)


def test_a_set_grows_in_a_clean_clone_from_the_version_that_is_committed(team: Team) -> None:
    clone = team.teammate()
    edit_params(clone, targets={"tiny": {"shard_megabytes": 16}})
    output = run(clone, "dvc repro --pull --allow-missing targets@tiny")
    assert stages_run(output) == {"targets@tiny"}
    assert "fetching the version that dvc.lock names" in output
    assert "targets tiny: 0 of " in output
    record = "data/runs/targets/tiny.json"
    assert (clone / record).read_bytes() == (team.publisher / record).read_bytes()  # as nothing was computed
    theirs = contents(team.publisher / "data/targets/tiny")
    assert theirs.items() <= contents(clone / "data/targets/tiny").items()


def test_a_damaged_file_of_the_remote_is_found_and_not_used(team: Team) -> None:
    logits = (team.publisher / "data/targets/tiny/logits/train/part-00000.arrow").read_bytes()
    digest = hashlib.md5(logits, usedforsecurity=False).hexdigest()
    stored = team.folder / "remote/files/md5" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    stored.write_bytes(logits[:-1] + bytes([logits[-1] ^ 1]))
    clone = team.teammate()
    assert attempt(clone, "dvc pull data/targets/tiny/logits")[0] != 0
    assert not (clone / "data/targets/tiny/logits/train/part-00000.arrow").exists()


def test_a_clean_clone_stops_before_it_trains_the_teacher_again_and_each_advice_leads_on(team: Team) -> None:
    clone = team.teammate()
    code, output = attempt(clone, "dvc repro teacher")
    assert code != 0
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: teacher@tiny: has been computed for this very data, settings and code (dvc.lock)")
    fetch, compute = re.findall(r"`(.+?)`", line)
    again = copy(clone, team.folder / "again")
    assert "teacher@tiny" in stages_run(run(again, f"{compute} teacher"))
    run(clone, fetch)
    assert stages_run(run(clone, "dvc repro teacher")) == set()
    weights = "data/teachers/tiny/model.safetensors"
    assert (clone / weights).read_bytes() == (team.publisher / weights).read_bytes()
    code, output = attempt(clone, "dvc repro targets")
    assert code != 0
    assert "error: targets@tiny: has been computed" in output


def test_who_joins_gets_what_students_read_and_is_told_what_was_left_out(team: Team) -> None:
    clone = team.teammate()
    output = run(clone, "python -m distill join hinton")
    assert set(re.findall(r"fetched: (\S+)", output)) == {"data/prepared/tiny", "data/inits/hinton", "data/targets/tiny/logits"}
    left = set(re.findall(r"left out: (\S+) \(", output))
    assert {"data/teachers/tiny", "data/students/hinton", "data/inits/distilbert"} <= left
    assert_no_teacher(clone, team.publisher)
    edit_params(clone, students={"hinton": {"temperature": 2}, "third": {**RANDOM, "init": {"from": "data/teachers/tiny"}}})
    assert stages_run(run(clone, "dvc repro --pull --allow-missing student@hinton")) == {"student@hinton"}
    assert "fetched: data/teachers/tiny" in run(clone, "python -m distill join third")


def test_who_joins_where_the_remote_lacks_something_is_told_so(team: Team) -> None:
    clone = team.teammate()
    shutil.rmtree(team.folder / "remote/files")
    code, output = attempt(clone, "python -m distill join hinton")
    assert code == 1
    assert "error: 3 of 3 are not on the remote; whoever has made them can `dvc push` them" in output
    assert "Now:" not in output


@pytest.mark.parametrize(
    ("command", "message"),
    [("join nobody", "error: nobody: no such student in params.yaml"), ("join third", "error: dvc.lock records nothing")],
)
def test_who_cannot_join_is_told_why(team: Team, command: str, message: str) -> None:
    clone = team.teammate()
    edit_params(clone, students={"third": RANDOM})
    run(clone, "rm dvc.lock")
    code, output = attempt(clone, f"python -m distill {command}")
    assert code == 1
    assert message in output
