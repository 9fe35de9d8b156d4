"""What README.md, CONTRIBUTING.md and docs/*.md show: their blocks of code, and whether a command that they name exists."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import click
from ruamel.yaml import YAML

from tests.closures import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
KNOWN = ("git", "cd", "cp", "mv", "echo", "source", ".venv/bin/pre-commit", "export")
"""Programs whose words nobody looks at."""
PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
MENTION = re.compile(r"make [\w-]+$|dvc repro$|(?:python|dvc|torchrun|accelerate|pip) \S+ [^…]+$")
"""What stands in backticks is looked at if it is a command with arguments; `dvc add` alone is a word."""
REDIRECTION = re.compile(r" > \S+")
ASSIGNMENT = re.compile(r"[A-Z_]+=")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Each line of a page's `sh` blocks, and what stands in backticks and begins with a program that can be checked."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.strip()]
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)]
    return lines + [line for line in named if MENTION.match(line)]


def check(line: str) -> None:
    """Refuse a line of a shell with a command, stage, option or target that does not exist. Nothing is run."""
    words = shlex.split(REDIRECTION.sub("", line), comments=True)
    while words:
        end = next((i for i, word in enumerate(words) if word in ("&&", "|")), len(words))
        _check([*_without_assignments(words[:end])])
        words = words[end + 1 :]


def _without_assignments(words: list[str]) -> list[str]:
    first = next((i for i, word in enumerate(words) if not ASSIGNMENT.match(word)), len(words))
    return words[first:]


def _check(words: list[str]) -> None:
    match words:
        case ["python" | ".venv/bin/python", "-m", module, *rest]:
            _check_module(module, rest)
        case ["dvc", *rest]:
            _check_dvc(rest)
        case ["make", *targets]:
            text = (ROOT / "Makefile").read_text(encoding="utf-8")
            names = [target for target in targets if not ASSIGNMENT.match(target)]
            assert [name for name in names if not re.search(rf"^{name}:", text, re.MULTILINE)] == []
        case ["torchrun", *rest]:
            from torch.distributed.run import get_args_parser

            _check_launched(get_args_parser().parse_args(rest))
        case ["accelerate", "launch", *rest]:
            from accelerate.commands.launch import launch_command_parser

            _check_launched(launch_command_parser().parse_args(rest))
        case ["pip", "install", *packages]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
            named = re.findall(r"\[([\w,]+)\]", " ".join(packages))
            assert {extra for names in named for extra in names.split(",")} <= set(extras)
        case [program, *_]:
            assert program in KNOWN, f"what is {words}?"


def _check_launched(arguments: object) -> None:
    module, rest = arguments.training_script, arguments.training_script_args
    assert arguments.module
    _check_module(module, rest)


def _check_module(module: str, rest: list[str]) -> None:
    """A module of this project's is parsed by its own click command, if it has one; of others, it is enough that they exist."""
    if module.partition(".")[0] not in ("distill", "stages", "tests"):
        assert importlib.util.find_spec(module)
        return
    if module == "distill":
        from distill.__main__ import main as found

        name, *rest = rest
        assert name in found.commands, name
        _parse(found.commands[name], rest)
        return
    file = ROOT / Path(*module.split("."))
    file = file / "__main__.py" if file.is_dir() else file.with_suffix(".py")
    text = file.read_text(encoding="utf-8")
    if "@command" in text:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        _parse(importlib.import_module(name).main, rest)


def _parse(found: click.Command, rest: list[str]) -> None:
    """Placeholders (NAME, FILE) pass for what they stand for; folders need not exist."""
    try:
        found.make_context(found.name, list(rest))
    except click.UsageError as error:
        if "does not exist" not in error.message:
            raise AssertionError(f"{found.name} {rest}: {error.message}") from None


def _check_dvc(words: list[str]) -> None:
    from dvc.cli import DvcParserError, parse_args

    try:
        arguments = parse_args(words)
    except (DvcParserError, SystemExit) as error:
        raise AssertionError(f"dvc {words}: {error}") from None
    if arguments.cmd in ("repro", "commit"):
        stages = [name.partition("@")[0] for name in arguments.targets]
        assert [name for name in stages if name not in PIPELINE] == []
        assert all("foreach" in PIPELINE[stage] for stage, name in zip(stages, arguments.targets, strict=True) if "@" in name)
