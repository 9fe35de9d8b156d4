"""`python -m distill show`: what a target set keeps, in how many bytes, and what was lost."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import aligned, command
from distill.core.errors import UserError
from distill.core.files import read_json, to_json
from distill.pipeline.target_folders import TARGETS, folders

if TYPE_CHECKING:
    from distill.store.manifest import Manifest

METRICS = Path("data/metrics/targets")
COLUMNS = ("output", "kept as", "width", "split", "rows", "tokens", "shards", "bytes", "bytes a token")


@command
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of tables.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Show what the target sets NAMES hold (entries of params.yaml, or paths), by default all in data/targets."""
    found = [describe(folder) for folder in folders(names)]
    click.echo(to_json(found) if as_json else "\n\n".join(map(format_table, found)) + "\n", nl=False)


def describe(folder: Path) -> dict[str, Any]:
    """What the manifests of a target set, or of one output of it, say."""
    from distill.store.target_set import TargetStore

    store = TargetStore.open(folder, verify=False)
    outputs = {output: _output(manifest) for output, manifest in sorted(store.manifests.items())}
    first = next(iter(store.manifests.values()))
    return {
        "folder": folder.as_posix(),
        "fingerprints": first.fingerprints.model_dump(
            include={"teacher", "config", "tokenizer", "folds", "seeds"}, exclude_none=True
        ),
        "labels": list(first.fingerprints.labels),
        "max_length": first.fingerprints.max_length,
        "teacher_layers": first.teacher_layers,
        "precision": first.precision,
        "libraries": {name: version for each in store.manifests.values() for name, version in sorted(each.libraries.items())},
        "outputs": outputs,
        "bytes": sum(output["bytes"] for output in outputs.values()),
        "fidelity": _fidelity(store.folder),
    }


def _output(manifest: "Manifest") -> dict[str, Any]:
    splits = {
        split: {
            **{key: sum(getattr(shard, key) for shard in part.shards) for key in ("rows", "tokens", "bytes")},
            "shards": len(part.shards),
        }
        for split, part in sorted(manifest.splits.items())
    }
    kept = {key: getattr(manifest, key) for key in ("codec", "per", "source", "width")}
    return {**kept, "splits": splits, "bytes": sum(entry.bytes for entry in manifest.files)}


def _fidelity(folder: Path) -> dict[str, dict[str, float]]:
    """What the `targets` stage has measured of a set of this project: by output, figures by name."""
    path = METRICS / f"{folder.name}.json"
    known = path.exists() and folder.resolve().parent == TARGETS.resolve()
    content = read_json(path, "the fidelity of a target set") if known else {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no mapping of outputs to figures; run `dvc repro targets@{folder.name}`")
    return {str(output): figures for output, figures in content.items() if isinstance(figures, dict)}


def format_table(found: dict[str, Any]) -> str:
    """The description as text."""
    prints = " · ".join(f"{part} {value[:12]}" for part, value in found["fingerprints"].items())
    labels = found["labels"]
    shown = ", ".join(labels[:10]) + (f" … ({len(labels)})" if len(labels) > 10 else "")
    rows = [row for output, entry in found["outputs"].items() for row in _rows(output, entry)]
    total = ("all", "", "", "", "", "", "", f"{found['bytes']:,}", "")
    lines = [
        found["folder"],
        f"  {prints}",
        f"  labels {shown} · max length {found['max_length']} · {found['teacher_layers']} layers · {found['precision']}",
        f"  made with {', '.join(f'{name} {version}' for name, version in found['libraries'].items())}",
        "",
        *(f"  {line}" for line in aligned([COLUMNS, *rows, total])),
    ]
    for output, figures in found["fidelity"].items():
        lines.append(f"  {output}: {', '.join(f'{name} {value}' for name, value in figures.items())}")
    return "\n".join(lines)


def _rows(output: str, entry: dict[str, Any]) -> list[tuple[str, ...]]:
    if entry["source"] is not None:
        how = f"replayed from {entry['source']}"
        return [(output, how, str(entry["width"]), ", ".join(entry["splits"]), "", "", "", f"{entry['bytes']:,}", "")]
    rows = []
    for number, (split, part) in enumerate(entry["splits"].items()):
        head = (output, entry["codec"], str(entry["width"])) if number == 0 else ("", "", "")
        per_row = entry["per"] == "row"
        density = f"{part['bytes'] / (part['rows'] if per_row else part['tokens']):.1f}{' a row' if per_row else ''}"
        rows.append((*head, split, *(f"{part[key]:,}" for key in ("rows", "tokens", "shards", "bytes")), density))
    return rows
