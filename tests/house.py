"""`python -m tests.house` draws the packages of distill/ and their imports: docs/house.svg."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from tests.closures import FLOORS, ROOT, arrows

PICTURE = ROOT / "docs" / "house.svg"
JOBS = {
    "core": "errors, files, console",
    "losses": "functions of tensors",
    "sources": "raw rows: CSV, hub, …",
    "data": "a prepared data set",
    "params": "what params.yaml may say",
    "preparation": "raw rows to tokens",
    "tasks": "head, loss, scores",
    "models": "load, save, attention",
    "profiling": "what raw rows are",
    "augmentation": "reworded rows",
    "training": "a run, its checkpoints",
    "store": "a target set on disk",
    "export": "ONNX, INT8, model card",
    "annotation": "labels by an LLM",
    "audit": "labels in doubt",
    "targets": "run the teacher, write",
    "recipes": "one file a method",
    "prediction": "answers to new texts",
    "evaluation": "scores, retention",
    "benchmark": "time side by side",
    "students": "initialize, distill",
    "pipeline": "all of params.yaml",
    "report": "the page, choosing",
    "commands": "python -m distill …",
}
"""What each package is for, in a few words."""
WIDTH, BOX, HEIGHT, ROW, MARGIN = 1280, 168, 46, 112, 20
STYLE = """\
text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
.job { font-size: 11px; fill: #59636e }
rect { fill: #f6f8fa; stroke: #818b98 }
path { fill: none; stroke: #818b98; stroke-width: 1.1 }
marker path { fill: #818b98; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .job { fill: #9198a1 }
  rect { fill: #212830; stroke: #656c76 }
  path { stroke: #656c76 }
  marker path { fill: #656c76 }
}"""

TIP = """\
<defs><marker id="tip" viewBox="0 0 6 6" refX="3" refY="3" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0L6 3L0 6z"/>
</marker></defs>"""


def reduced() -> dict[str, set[str]]:
    """The arrows, without those that a longer way through other packages tells already."""
    direct = arrows()

    def reached(name: str) -> set[str]:
        return direct[name].union(*map(reached, direct[name]))

    return {name: below - set().union(*(reached(other) for other in below)) for name, below in direct.items()}


def places() -> dict[str, tuple[float, float]]:
    """The middle of each package's box: a row a floor, the top floor first."""
    found = {}
    for number, floor in enumerate(reversed(FLOORS)):
        step = WIDTH / len(floor)
        for column, name in enumerate(floor):
            found[name] = ((column + 0.5) * step, MARGIN + HEIGHT / 2 + number * ROW)
    return found


def shapes() -> Iterator[str]:
    """The arrows, and the boxes over them."""
    where = places()
    for name, below in sorted(reduced().items()):
        for other in sorted(below):
            (x, y), (to_x, to_y) = where[name], where[other]
            start, end = y + HEIGHT / 2, to_y - HEIGHT / 2 - 5
            bend = (end - start) / 2
            curve = f"M{x:.0f} {start:.0f}C{x:.0f} {start + bend:.0f} {to_x:.0f} {end - bend:.0f} {to_x:.0f} {end:.0f}"
            yield f'<path d="{curve}" marker-end="url(#tip)"/>'
    for name, (x, y) in where.items():
        yield f'<rect x="{x - BOX / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
        yield f'<text x="{x:.0f}" y="{y - 4:.0f}">{name}</text>'
        yield f'<text class="job" x="{x:.0f}" y="{y + 13:.0f}">{escape(JOBS[name])}</text>'


def picture() -> str:
    """The whole drawing, as SVG."""
    height = 2 * MARGIN + HEIGHT + ROW * (len(FLOORS) - 1)
    label = "The packages of distill/ and their imports"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
    return "\n".join([head, f"<style>\n{STYLE}\n</style>", TIP, *shapes(), "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
