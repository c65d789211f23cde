"""What commands print into a pipe and on a terminal."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from greenroom.web.console import make_console

LONG = "a word " * 40 + "end"


def piped(*tables: Table | str) -> str:
    """Return what comes out of a pipe."""
    out = io.StringIO()
    console = make_console(out)
    for table in tables:
        console.print(table)
    return out.getvalue()


def table_of(*rows: tuple[str, str]) -> Table:
    """Return a table with two columns, the first coloured."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for first, second in rows:
        table.add_row(f"[green]{first}[/]", second)
    return table


def test_piped_lines_are_whole_aligned_and_bare() -> None:
    """Lines are neither cut nor broken, without trailing blanks or colour codes. Columns stay aligned."""
    assert piped(table_of(("ok", LONG), ("warning", "short"))) == f"ok       {LONG}\nwarning  short\n"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"])
def test_environment_for_terminals_changes_nothing_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Neither the variables that CI systems set for colours nor a terminal's width affect a file."""
    monkeypatch.setenv(name, "20")
    assert piped(table_of(("ok", LONG))) == f"ok  {LONG}\n"
    out = io.StringIO()
    with make_console(out).status("a sign of life"):
        pass
    assert out.getvalue() == ""


def test_spaces_at_the_end_are_left_out_however_a_line_is_printed() -> None:
    """A line that is printed in pieces is trimmed as a whole. Blanks inside it stay."""
    out = io.StringIO()
    console = make_console(out)
    for piece in ("a  ", "b  ", "\n", "  c", "  \n"):
        console.print(piece, end="")
    assert out.getvalue() == "a  b\n  c\n"


@pytest.mark.parametrize(
    ("output", "code", "says"),
    [("pipe", 141, ""), ("/dev/full", 74, "greenroom: Can't print: No space left on device\n")],
)
def test_output_that_nobody_takes_ends_the_command_with_a_separate_code(
    tmp_path: Path, output: str, code: int, says: str
) -> None:
    """After a closed pipe or a full disk there is no traceback, and not the 1 that means logged out."""
    page = tmp_path / "page.html"
    page.write_text("<html>")
    command = [str(Path(sys.executable).with_name("greenroom")), "verdict", str(page)]
    if output == "pipe":
        ours, theirs = os.pipe()
        os.close(ours)
    else:
        theirs = os.open(output, os.O_WRONLY)
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (code, says)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_terminal_is_fitted_and_coloured_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_color: str
) -> None:
    """On a terminal, lines are wrapped at its width."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        console: Console = make_console(terminal)
        assert console.width == 40
        console.print("[red]red[/]")
        terminal.flush()
        assert (b"\x1b[31m" in os.read(ours, 1000)) is (not no_color)
    os.close(ours)
