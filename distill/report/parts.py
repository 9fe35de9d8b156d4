"""Page components: sections of blocks of parts. The template shows each `kind` of part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from distill.evaluation.details import Example
from distill.report.tables import Table


@dataclass(frozen=True)
class Note:
    """A paragraph; `tone` is empty, `quiet` (small print), or `warning`."""

    text: str
    tone: str = ""
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Chart:
    """A chart: what it is, how to read it, and its Vega-Lite specification."""

    title: str
    reading: str
    spec: dict[str, Any]
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Series:
    """How a model looks in all charts of its data set."""

    name: str
    colour: str
    symbol: str
    glyph: str


@dataclass(frozen=True)
class Legend:
    """The models in the charts that follow."""

    looks: tuple[Series, ...]
    kind: ClassVar[str] = "legend"


@dataclass(frozen=True)
class Examples:
    """Rows where a student and its teacher part."""

    student: str
    examples: tuple[Example, ...]
    kind: ClassVar[str] = "examples"


@dataclass(frozen=True)
class Code:
    """Lines to be typed, or settings."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Grid:
    """Parts side by side where there is room."""

    parts: "tuple[Part, ...]"
    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Collapsible:
    """Parts behind a line that opens them."""

    summary: str
    parts: "tuple[Part, ...]"
    kind: ClassVar[str] = "fold"


Part: TypeAlias = Note | Table | Chart | Legend | Examples | Code | Grid | Collapsible


@dataclass(frozen=True)
class Block:
    """Parts under a heading."""

    title: str
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        """Its place in the page's address."""
        return "-".join(self.title.lower().split())


@dataclass(frozen=True)
class Section:
    """Blocks under a heading: of a data set, or of none."""

    title: str
    eyebrow: str
    """What the title is the name of; may be empty."""
    key: str
    blocks: tuple[Block, ...]


def tables_in(parts: Sequence[Part]) -> list[Table]:
    """The tables that stand open, those of grids too."""
    tables: list[Table] = []
    for part in parts:
        if isinstance(part, Table):
            tables.append(part)
        elif isinstance(part, Grid):
            tables += tables_in(part.parts)
    return [table for table in tables if table.cells]
