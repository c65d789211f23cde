"""Commands that ask the running daemon, beside `greenroom session`: `status`, `leaks` and `mcp`."""

import contextlib
import sys
from pathlib import Path

import click

from greenroom.web.options import config, daemon_url
from greenroom.web.running import EXIT_FAILED, Signalled, explaining, run_command, stop

# As in `cli`, each command imports what it needs when it runs.


@click.command()
@daemon_url
@config
@click.option("--watch", is_flag=True, help="Go on showing it, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each time.")
def status(config_file: Path | None, url: str | None, watch: bool, as_json: bool) -> None:
    """Show what the running daemon has and does.

    Its checks, sessions, profiles and until when their logins can last, and leaks. Exit code 1 if no daemon
    answers.
    """
    with explaining(), contextlib.suppress(*([Signalled] if watch else [])):
        from greenroom.web.commands.sessions import make_async_client
        from greenroom.web.commands.status import show_status
        from greenroom.web.console import make_console
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file)
        where = url or settings.url

        async def show() -> None:
            async with make_async_client(settings, url) as client:
                await show_status(client, where, make_console(sys.stdout), as_json=as_json, watch=watch)

        run_command(show)


@click.command()
@daemon_url
@config
def leaks(config_file: Path | None, url: str | None) -> None:
    """Show what the running daemon owns, and what it leaks.

    Exit code 1 if anything it owns belongs to no session.
    """
    with explaining():
        from greenroom.web.commands.leaks import show_leaks
        from greenroom.web.commands.sessions import token_of
        from greenroom.web.console import make_console
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file)
        certificate = None if url else settings.tls_certificate
        if not show_leaks(
            url or settings.url, token_of(settings), make_console(sys.stdout), certificate=certificate
        ):
            sys.exit(EXIT_FAILED)


@click.command()
@daemon_url
@config
def mcp(config_file: Path | None, url: str | None) -> None:
    """Serve the daemon's sessions as MCP tools.

    It speaks the Model Context Protocol on standard input and output, as programs expect that start it by
    themselves: `{"command": "greenroom", "args": ["mcp"]}`. Sessions that it makes end with it. It needs
    `pip install greenroom[mcp]`.
    """
    with explaining(), contextlib.suppress(Signalled):
        try:
            from greenroom.web.mcp.server import serve_stdio
        except ModuleNotFoundError as exc:
            if (exc.name or "").partition(".")[0] != "mcp":
                raise
            stop("This needs `pip install 'greenroom[mcp]'`", EXIT_FAILED)
        from greenroom.web.commands.sessions import make_async_client
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file)

        async def serve() -> None:
            async with make_async_client(settings, url) as client:
                await serve_stdio(client)

        run_command(serve)
