"""`greenroom history`: how sessions ended."""

import sys
from pathlib import Path

import click

from greenroom.web.completion import profile_names
from greenroom.web.options import check_name, config, daemon_url
from greenroom.web.running import EXIT_FAILED, explaining, stop

# As in `cli`, the command imports what it needs when it runs.

# Of Outcome and EndReason.
OUTCOMES = ("served", "broken", "refused", "cancelled")
REASONS = (
    *("expired", "idle", "deleted", "closed_by_client", "not_logged_in", "login_lost", "creation_timeout"),
    *("caller_left", "browser_lost", "over_budget", "completed", "discarded", "failed", "shutdown"),
)
_TIME = "A time, as 2026-11-27T12:00, or how long ago: 30m, 2h, 7d."


@click.command("history")
@click.option("--id", metavar="ID", help="A session's id, or how it begins.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="What came of them.")
@click.option(
    "--reason",
    "end_reason",
    type=click.Choice(REASONS),
    metavar="REASON",
    help="Why they ended, such as browser_lost.",
)
@click.option(
    "--profile",
    metavar="NAME",
    callback=check_name,
    shell_complete=profile_names,
    help="The profile that they were of.",
)
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
    seconds 50, 90 and 99 % of them took at most, for their creation and for each phase. (JSON has
    milliseconds.)

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
            try:
                query[name] = parse_time(query[name], datetime.now(UTC)).isoformat()
            except ValueError as exc:
                raise click.BadParameter(str(exc), param_hint=f"--{name}") from None
        with explaining():
            answer, source = ask_history(load_settings(config_file), url, query)
    except NoPlace as exc:
        stop(str(exc), EXIT_FAILED)
    except (ValueError, msgspec.MsgspecError) as exc:
        raise click.UsageError(str(exc)) from exc
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        show_history(answer, source, make_console(sys.stdout))
