"""The library's packages, which of them may import which, and what a stage imports."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
REGISTRY, LOADING = "distill/recipes/registry.py", "distill/recipes/loading.py"
ITS_RECIPE = "distill/recipes/${item.recipe}.py"
"""How dvc.yaml names the one recipe that a student's stage loads."""
FLOORS = (
    ("core", "losses"),
    ("params",),
    ("sources",),
    ("data",),
    ("preparation", "tasks"),
    ("models",),
    ("profiling", "augmentation", "training", "store", "export"),
    ("annotation", "audit", "targets", "recipes", "prediction", "evaluation", "benchmark"),
    ("students", "pipeline", "report"),
    ("commands",),
)
"""The packages of distill/ from the ground up: one imports from the floors below its own, and from itself."""


def module_file(name: str) -> Path | None:
    """The file of a module of this project."""
    path = ROOT / Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists() and name.startswith("distill"):
            return file
    return None


@cache
def imported(file: Path) -> set[Path]:
    """The project's files that a file imports, at the top or inside a function; empty `__init__.py` files are left out."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {path for name in names if (path := module_file(name)) and path.stat().st_size > 0}
    return found


def package(file: Path) -> str:
    """`store` for distill/store/shards.py, `__main__` for distill/__main__.py."""
    return file.relative_to(ROOT / "distill").parts[0].removesuffix(".py")


def closure(file: Path) -> set[str]:
    """A file and all that it imports, directly or not, as paths from the root."""
    seen: set[Path] = set()
    waiting = {file}
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting |= imported(current) - seen
    return {path.relative_to(ROOT).as_posix() for path in seen}


def recipes() -> set[Path]:
    """The files of the recipes in the registry."""
    return {file for file in imported(ROOT / REGISTRY) if file.parent == (ROOT / REGISTRY).parent}


def needed(script: Path) -> set[str]:
    """What a stage depends on: its closure, and, as it loads recipes by name, what any of them imports.

    A student's stage loads its own recipe alone.
    """
    found = closure(script)
    if LOADING not in found:
        return found
    all_recipes = {file.relative_to(ROOT).as_posix() for file in recipes()}
    found = found.union(*map(closure, recipes()))
    return found - all_recipes | {ITS_RECIPE}


def arrows() -> dict[str, set[str]]:
    """Each package, and those that it imports from."""
    found: dict[str, set[str]] = {name: set() for floor in FLOORS for name in floor}
    for file in (ROOT / "distill").rglob("*.py"):
        own = package(file)
        if own in found:
            found[own] |= {package(other) for other in imported(file)} - {own}
    return found
