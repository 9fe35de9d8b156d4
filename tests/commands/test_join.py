"""`python -m distill join`, where nothing can be fetched; tests/pipeline/test_sharing.py has where it can."""

from pathlib import Path

import pytest

from distill.commands.join import main
from tests.command_line import invoke, refusal
from tests.commands.test_publish import PARAMS


def test_outside_of_a_repository_it_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    assert "not inside of a DVC repository" in refusal(invoke(main))
    assert "stranger: no such student in params.yaml" in refusal(invoke(main, "stranger"))
