"""`python -m tests.benchmarks.figures`: the README's tables, from what `make demo` and `make benchmark-presets` have measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from distill.core.console import command
from distill.core.errors import UserError
from distill.core.files import read_json
from tests.benchmarks.presets import PUBLISHED
from tests.benchmarks.quality.tables import percent, table, write_between

METRICS = Path("data/metrics")
TORCH, INT8 = "torch-fp32", "onnx-int8"


@command
@click.option("--page", type=click.Path(path_type=Path), default="README.md", show_default=True)
def main(page: Path) -> None:
    """Write the tables between the page's marks; what has not been measured is left out, and said."""
    if not page.exists():
        raise UserError(f"{page}: no such file; run from the project's folder")
    write_between(page, "figures", figures(METRICS))


def figures(metrics: Path) -> str:
    """Both tables, each under a line that says what was measured, and where."""
    parts = []
    for file, made, hint in (("benchmark.json", demo, "make demo"), ("presets.json", presets, "make benchmark-presets")):
        path = metrics / file
        parts.append(made(read_json(path, f"what `{hint}` writes"), metrics) if path.exists() else f"Not measured yet: `{hint}`.")
    return "\n\n".join(parts)


def demo(benchmark: Mapping[str, Any], metrics: Path) -> str:
    """Teachers, each with its students: scores, what is kept, and how much faster and smaller they are than it in torch."""
    lines = []
    for teacher, whole in benchmark["teachers"].items():
        own = {name: entry for name, entry in benchmark["students"].items() if entry["teacher"] == teacher}
        size = whole["formats"][TORCH]["bytes"]
        lines.append([f"{teacher}, the teacher", *cells(whole, size, metrics, f"teachers/{teacher}.json")])
        lines += [[f"`{name}`", *cells(entry, size, metrics, f"students/{name}.json")] for name, entry in own.items()]
    head = [
        "model",
        "layers × width",
        "parameters",
        "score",
        "retention (95%)",
        "speed",
        "INT8: score",
        "INT8: speed",
        "INT8: MB",
    ]
    about = (
        f"`make demo`, on {machine(benchmark['machine'])}. Scores are percentages of the test rows. Speeds are how many times as "
        "fast a model is as the teacher in torch (medians, a row at a time, of the test rows' own lengths, in the same run). "
        "MB are 10⁶ bytes; ÷ says how many times smaller the file is than the teacher's in torch."
    )
    return f"{about}\n\n{table(head, lines)}"


def cells(timed: Mapping[str, Any], teacher_bytes: int, metrics: Path, file: str) -> list[str]:
    """What a model's line says of it."""
    own, exported = (read_json(place / file, "what `make demo` writes") for place in (metrics, metrics / "exports"))
    metric, size = own["metric"], timed["formats"][INT8]["bytes"]
    return [
        f"{own['layers']} × {own['hidden_size']}",
        f"{own['parameters'] / 1e6:.1f}M",
        percent(own[metric]) + (f" ± {percent(own[f'{metric}_sd'])}" if f"{metric}_sd" in own else ""),
        "{} ({}–{})".format(*(percent(own[f"retention{end}"]) for end in ("", "_low", "_high"))) if "retention" in own else "–",
        speed(timed, TORCH),
        percent(exported["int8"][metric]),
        speed(timed, INT8),
        f"{size / 1e6:.1f} (÷ {teacher_bytes / size:.1f})",
    ]


def speed(timed: Mapping[str, Any], form: str) -> str:
    """How many times as fast as its teacher in torch."""
    found = timed["formats"][form]["latency"]["rows"].get("speedup")
    return "–" if found is None else f"{found:.1f}×"


def presets(content: Mapping[str, Any], metrics: Path) -> str:
    """The published small models: sizes, and speeds beside those of their papers."""
    lines = []
    for name, own in content["models"].items():
        speeds = [f"{own['formats'][form]['over_reference']['speedup']:.1f}×" for form in (TORCH, INT8)]
        published = f"{PUBLISHED[name].faster:g}×" if name in PUBLISHED else "1×"
        sizes = [f"{own['bytes'][form] / 1e6:.1f}" for form in ("onnx-fp32", INT8)]
        lines.append([name, f"{own['parameters'] / 1e6:.1f}M", *sizes, *speeds, published])
    head = ["preset", "parameters of the encoder", "fp32, MB", "INT8, MB", "speed in torch", "in ONNX INT8", "published"]
    about = (
        f"`make benchmark-presets`, on {machine(content['machine'])}: one row of {content['length']} tokens, speeds in times "
        f"{next(iter(content['models']))}'s in torch, in the same run; published ones are of other hardware."
    )
    return f"{about}\n\n{table(head, lines)}"


def machine(found: Mapping[str, Any]) -> str:
    """Where it was measured."""
    return f"{found['threads']} thread{'s' if found['threads'] > 1 else ''} of {found['processor']}, torch {found['torch']}"


if __name__ == "__main__":
    main()
