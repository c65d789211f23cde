"""`greenroom verdict`: the login verdict on saved pages, with its evidence as a table or as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from greenroom.actors.verdict import Decision, Evidence, Finding, LoginState, analyse_html, decide
from greenroom.web.commands.sources import MAX_PAGE_BYTES, PageUnreadable, read_source
from greenroom.web.terminal import one_line

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["MAX_PAGE_BYTES", "Judged", "PageUnreadable", "judge_source", "show_verdicts"]

EXIT_CODES: Final = {LoginState.LOGGED_IN: 0, LoginState.LOGGED_OUT: 1, LoginState.UNCERTAIN: 2}
EXIT_UNREADABLE: Final = 3
_STYLES = {LoginState.LOGGED_IN: "green", LoginState.LOGGED_OUT: "red", LoginState.UNCERTAIN: "yellow"}


@attrs.frozen(kw_only=True)
class Judged:
    """A page, the evidence found on it, and the decision."""

    source: str
    size: int
    finding: Finding
    decision: Decision


def show_verdicts(
    sources: Sequence[str],
    console: "Console",
    complain: Callable[[str], None],
    *,
    as_json: bool = False,
    show_viewer: bool = False,
) -> int:
    """Print the verdict on each source: one with its evidence, several with a line each and a total. Blocks.

    As JSON, each is one line. The viewer's handle is left out unless asked for; other content of a page is
    never shown. Sources that can't be read are reported. Returns the highest of the `EXIT_CODES`, or
    `EXIT_UNREADABLE` if a source could not be read.
    """
    states: list[LoginState] = []
    for source in sources:
        try:
            judged = judge_source(source)
        except PageUnreadable as exc:
            complain(str(exc))
            continue
        states.append(judged.decision.state)
        if as_json:
            print(_as_json(judged, show_viewer=show_viewer), file=console.file, flush=True)
        elif len(sources) == 1:
            _show_page(judged, console, show_viewer=show_viewer)
        else:
            _show_line(judged, console, show_viewer=show_viewer)
    if len(sources) > 1 and not as_json:
        _show_total(states, len(sources), console)
    return EXIT_UNREADABLE if len(states) < len(sources) else max(EXIT_CODES[state] for state in states)


def judge_source(source: str) -> Judged:
    """Read a page and judge it. Blocks. Raises PageUnreadable."""
    given = read_source(source)
    finding = analyse_html(given.page, given.arrival)
    return Judged(source=source, size=len(given.page), finding=finding, decision=decide(finding.evidence))


def _as_json(judged: Judged, *, show_viewer: bool) -> str:
    finding = judged.finding
    shown: dict[str, object] = {
        "source": judged.source,
        "bytes": judged.size,
        "state": judged.decision.state.value,
        "reason": judged.decision.reason.value,
        "gate": judged.decision.gate.value if judged.decision.gate else None,
        "status": finding.status,
        "method": finding.method.value,
        "elapsed_ms": round(finding.elapsed_ms, 2),
        "evidence": [
            {
                "rule": piece.rule,
                "place": piece.place,
                "points_to": piece.points_to.value,
                "strength": piece.strength.name.lower(),
                "reason": piece.reason.value,
                "count": piece.count,
            }
            for piece in finding.evidence
        ],
    }
    if show_viewer:
        shown["viewer"] = finding.viewer if judged.decision.state is LoginState.LOGGED_IN else None
    return json.dumps(shown)


def _show_page(judged: Judged, console: "Console", *, show_viewer: bool) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  # several pages, and JSON, need no table
    from rich.table import Table  # noqa: PLC0415

    finding, state = judged.finding, judged.decision.state
    console.print(f"[{_STYLES[state]}]{state.value}[/]  {judged.decision.reason.value}")
    if show_viewer and state is LoginState.LOGGED_IN:
        console.print(f"viewer  {finding.viewer or 'not named'}")
    table = Table(box=SIMPLE_HEAD)
    for heading in ("rule", "place", "points to", "strength"):
        table.add_column(heading, overflow="fold")
    table.add_column("count", justify="right")
    for piece in finding.evidence:
        table.add_row(*_cells(piece))
    console.print(table)
    console.print(
        f"{finding.method.value}: {judged.size / 1000:,.0f} kB in {finding.elapsed_ms:.1f} ms",
        highlight=False,
    )


def _show_line(judged: Judged, console: "Console", *, show_viewer: bool) -> None:
    state = judged.decision.state
    viewer = f"  {judged.finding.viewer}" if show_viewer and state is LoginState.LOGGED_IN else ""
    console.print(
        f"[{_STYLES[state]}]{state.value:10}[/]  {judged.decision.reason.value:15} "
        f"{judged.finding.elapsed_ms:6.1f} ms  ",
        end="",
        highlight=False,
    )
    console.print(one_line(judged.source) + viewer, markup=False, highlight=False, soft_wrap=True)


def _show_total(states: Sequence[LoginState], count: int, console: "Console") -> None:
    counts = [f"{states.count(state)} {state.value}" for state in LoginState]
    if len(states) < count:
        counts.append(f"{count - len(states)} unreadable")
    console.print(f"{count} pages: {', '.join(counts)}", highlight=False)


def _cells(piece: Evidence) -> tuple[str, ...]:
    return (
        piece.rule,
        piece.place,
        piece.points_to.value,
        piece.strength.name.lower(),
        str(piece.count),
    )
