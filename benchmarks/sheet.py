"""A sheet of figures, shown as a table on the screen and kept as a page in Markdown."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

RESULTS: Final = Path(__file__).parent / "results"
HEADINGS: Final = ("what", "figure", "ratio", "bar")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, with its ratio to what it is compared with, and the bar that it should reach, if there is one."""

    what: str
    figure: str
    ratio: str = ""
    bar: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the table."""
        return self.what, self.figure, self.ratio, self.bar


@dataclass(slots=True)
class Sheet:
    """All figures of one run, with what is needed to interpret and to repeat them."""

    title: str
    command: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, figure: str, ratio: str = "", bar: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(what, figure, ratio, bar))

    def show(self) -> None:
        """Print it."""
        table = Table(*HEADINGS[:1], title=self.title)
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(*row.cells)
        console = Console()
        console.print(table)
        for note in self.notes:
            console.print(note, markup=False, highlight=False)

    def write(self, file: Path) -> None:
        """Write the page to a file."""
        file.parent.mkdir(exist_ok=True)
        file.write_text(self.page())

    def page(self) -> str:
        """The page, in Markdown."""
        versions = {"Python": platform.python_version(), **self.versions}
        lines = [
            f"# {self.title}",
            "",
            f"`{self.command}` on {platform.system()} {platform.machine()} with {os.cpu_count()} cores;"
            f" {', '.join(f'{name} {version}' for name, version in versions.items())}.",
            "",
            *_table(HEADINGS, [row.cells for row in self.rows]),
            "",
            *(f"- {note}" for note in self.notes),
        ]
        return "\n".join(lines).rstrip() + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows)]
