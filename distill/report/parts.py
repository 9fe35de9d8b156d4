"""Page components: sections of blocks of parts. The template shows each `kind` of part."""

from dataclasses import dataclass
from typing import Any

from distill.evaluation.details import Example


@dataclass(frozen=True)
class Series:
    """How a model looks in all charts of its data set."""

    name: str
    colour: str
    symbol: str
    glyph: str


class Part:
    """What a block is made of."""

    @property
    def kind(self) -> str:
        """What the template knows it by."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Note(Part):
    """A paragraph; `tone` is empty, `quiet` (small print), or `warning`."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Chart(Part):
    """A chart: what it is, how to read it, and its Vega-Lite specification."""

    title: str
    reading: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Legend(Part):
    """The models in the charts that follow."""

    looks: tuple[Series, ...]


@dataclass(frozen=True)
class Examples(Part):
    """Rows where a student and its teacher part."""

    student: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Code(Part):
    """Lines to be typed, or settings."""

    text: str


@dataclass(frozen=True)
class Grid(Part):
    """Parts side by side where there is room."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Collapsible(Part):
    """Parts behind a line that opens them."""

    summary: str
    parts: tuple[Part, ...]


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
