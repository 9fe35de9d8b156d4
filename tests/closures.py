"""Which library files a stage imports, directly or not. `python -m tests.closures` prints them as dvc.yaml lists them."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
CATALOGUE, LOADING = "distill/recipes/catalogue.py", "distill/recipes/loading.py"
ITS_RECIPE = "distill/recipes/${item.recipe}.py"
"""How dvc.yaml names the one recipe that a student's stage loads."""


def module_file(name: str) -> Path | None:
    """The file of a module of this project."""
    path = ROOT / Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists() and name.startswith("distill"):
            return file
    return None


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


def closure(file: Path) -> set[str]:
    """A file and all that it imports, as paths from the root."""
    seen: set[Path] = set()
    waiting = {file}
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting |= imported(current) - seen
    return {path.relative_to(ROOT).as_posix() for path in seen}


def recipes() -> set[Path]:
    """The files of the recipes in the catalogue."""
    return {file for file in imported(ROOT / CATALOGUE) if file.parent == (ROOT / CATALOGUE).parent}


def needed(script: Path) -> set[str]:
    """What a stage depends on: its closure; if it loads a recipe by name, that one, and what any of them imports."""
    found = closure(script)
    if LOADING not in found or CATALOGUE in found:
        return found
    all_recipes = {file.relative_to(ROOT).as_posix() for file in recipes()}
    return found.union(*map(closure, recipes())) - all_recipes | {ITS_RECIPE}


if __name__ == "__main__":
    for stage in sorted((ROOT / "stages").glob("*.py")):
        print(f"{stage.stem}:", *(f"  - {name}" for name in sorted(needed(stage))), sep="\n")
