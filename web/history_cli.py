"""`greenroom history`: how sessions ended."""

import sys
from pathlib import Path

import click

from greenroom.web.options import config, daemon_url
from greenroom.web.running import EXIT_FAILED, explaining, stop

# As in `cli`, the command imports what it needs when it runs.

_TIME = "A time, as 2026-11-27T12:00, or how long ago: 30m, 2h, 7d."


@click.command("history")
@click.option("--id", metavar="ID", help="The one session with this id.")
@click.option("--outcome", metavar="OUTCOME", help="served, broken, refused or cancelled.")
@click.option("--reason", "end_reason", metavar="REASON", help="Why they ended, such as browser_lost.")
@click.option("--profile", metavar="NAME", help="The profile that they were of.")
@click.option("--since", metavar="TIME", help=f"Those that ended then or later. {_TIME}")
@click.option("--until", metavar="TIME", help="Those that ended before.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many to list.")
@click.option("--cursor", metavar="TEXT", help="Where the list goes on: `next` of an answer.")
@click.option("--json", "as_json", is_flag=True, help="One document of JSON, as GET /tiktok/history answers.")
@daemon_url
@config
def history(
    config_file: Path | None, url: str | None, as_json: bool, limit: int, **given: str | None
) -> None:
    """Show how sessions ended, the last first.

    Below them are figures on all that the options let through, not only on those that are listed: how many
    milliseconds 50, 90 and 99 % of them took at most, for their creation and for each phase.

    Without a running daemon, its file is read. Exit code 1 if neither can be asked.
    """
    from datetime import UTC, datetime

    import msgspec

    from greenroom.supervisor.places import NoPlace
    from greenroom.web.commands.history import ask_history, parse_time, show_history
    from greenroom.web.console import make_console
    from greenroom.web.settings import load_settings

    query = {name: value for name, value in given.items() if value is not None} | {"limit": str(limit)}
    try:
        for name in query.keys() & {"since", "until"}:
            query[name] = parse_time(query[name], datetime.now(UTC)).isoformat()
        with explaining():
            answer, source = ask_history(load_settings(config_file), url, query)
    except NoPlace as exc:
        stop(str(exc), EXIT_FAILED)
    except (ValueError, OverflowError, msgspec.MsgspecError) as exc:
        raise click.UsageError(str(exc)) from exc
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        show_history(answer, source, make_console(sys.stdout))
