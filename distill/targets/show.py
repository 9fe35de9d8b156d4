"""What a target set holds, for people and for programs."""

from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files import read_json
from distill.targets.reader import TargetStore
from distill.targets.schema import Manifest

METRICS = Path("data/metrics/targets")
COLUMNS = ("output", "kept as", "width", "split", "rows", "tokens", "shards", "bytes", "bytes a token")


def describe(folder: Path) -> dict[str, Any]:
    """What the manifests of a target set, or of one output of it, say.

    Raises:
        UserError: nothing is there, or a manifest is damaged.
    """
    store = TargetStore.open(folder, verify=False)
    outputs = {output: _output(manifest) for output, manifest in sorted(store.manifests.items())}
    some = next(iter(store.manifests.values()))
    libraries = {name: version for manifest in store.manifests.values() for name, version in sorted(manifest.libraries.items())}
    return {
        "folder": folder.as_posix(),
        "fingerprints": {**some.fingerprints.model_dump(include={"teacher", "config", "tokenizer"})},
        "labels": list(some.fingerprints.labels),
        "max_length": some.fingerprints.max_length,
        "teacher_layers": some.teacher_layers,
        "precision": some.precision,
        "libraries": libraries,
        "outputs": outputs,
        "bytes": sum(output["bytes"] for output in outputs.values()),
        "fidelity": _fidelity(store.folder.name),
    }


def _output(manifest: Manifest) -> dict[str, Any]:
    splits = {
        split: {
            "rows": sum(shard.rows for shard in part.shards),
            "tokens": sum(shard.tokens for shard in part.shards),
            "shards": len(part.shards),
            "bytes": sum(shard.bytes for shard in part.shards),
        }
        for split, part in sorted(manifest.splits.items())
    }
    return {
        "codec": manifest.codec,
        "per": manifest.per,
        "source": manifest.source,
        "width": manifest.width,
        "splits": splits,
        "bytes": sum(entry.bytes for entry in manifest.files),
    }


def _fidelity(name: str) -> dict[str, dict[str, float]]:
    """What the `targets` stage has measured, if it is here: by output, figures by name."""
    path = METRICS / f"{name}.json"
    content = read_json(path, "the fidelity of a target set") if path.exists() else {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no mapping of outputs to figures; run `dvc repro targets@{name}`")
    return {str(output): figures for output, figures in content.items() if isinstance(figures, dict)}


def table(found: dict[str, Any]) -> str:
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
        *(f"  {line}" for line in _aligned([COLUMNS, *rows, total])),
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
        own = (output, entry["codec"], str(entry["width"])) if number == 0 else ("", "", "")
        per_row = entry["per"] == "row"
        density = f"{part['bytes'] / (part['rows'] if per_row else part['tokens']):.1f}{' a row' if per_row else ''}"
        sizes = [f"{part[key]:,}" for key in ("rows", "tokens", "shards", "bytes")]
        rows.append((*own, split, *sizes, density))
    return rows


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns of equal width: text to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: tuple[str, ...]) -> str:
        cells = zip(row, widths, strict=True)
        return "  ".join(cell.ljust(width) if i in (0, 1, 3) else cell.rjust(width) for i, (cell, width) in enumerate(cells))

    return [line(row).rstrip() for row in rows]
