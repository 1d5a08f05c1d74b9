"""How far the work is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from limbeck.cli.printing import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Watch:
    """Told how far the work is, and silent about it."""

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(whole=kind is None)

    def phase(self, name: str) -> None:
        """Another phase begins."""

    def step(self, done: int, total: int, what: str = "") -> None:
        """So many of so many steps of the phase are done."""

    def close(self, *, whole: bool) -> None:
        """Nothing more is coming; `whole` when all went well."""


class Lines(Watch):
    """A line on stderr per phase, and one per tenth of it."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.name, self.tenth = "", 0

    def phase(self, name: str) -> None:  # noqa: D102 - as of Watch
        self.name, self.tenth = name, 0
        typer.echo(name, err=True)

    def step(self, done: int, total: int, what: str = "") -> None:  # noqa: D102 - as of Watch
        tenth = 10 * done // total if total else 0
        if tenth > self.tenth:
            self.tenth = tenth
            seconds = time.monotonic() - self.started
            typer.echo(f"{self.name}: {done} of {total} ({10 * tenth} %), {duration(seconds)}", err=True)


class Bars(Watch):
    """A bar on the terminal per phase."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        # No markup: names of variants and stages may hold brackets.
        columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
        self.bars: Progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self.name = ""
        self.current: TaskID | None = None

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def phase(self, name: str) -> None:  # noqa: D102 - as of Watch
        self._finish()
        self.name = name
        self.current = self.bars.add_task(name, total=None)

    def step(self, done: int, total: int, what: str = "") -> None:  # noqa: D102 - as of Watch
        if self.current is not None:
            description = f"{self.name}: {what}" if what and done < total else self.name
            self.bars.update(self.current, total=total, completed=done, description=description)

    def close(self, *, whole: bool) -> None:  # noqa: D102 - as of Watch
        if whole:
            self._finish()
        self.bars.stop()

    def _finish(self) -> None:
        """Fill the bar of the phase that ends, also where it had nothing to count."""
        if self.current is not None:
            task = self.bars.tasks[-1]
            total = task.total or 1
            self.bars.update(self.current, total=total, completed=total, description=self.name)


def watching(quiet: bool) -> Watch:
    """Return who is told how far the work is: nobody, bars on a terminal, or lines."""
    if quiet:
        return Watch()
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console

    return Bars(Console(stderr=True))
