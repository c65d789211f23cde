"""`greenroom session`: the running daemon's sessions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from greenroom.web.completion import session_ids
from greenroom.web.options import config, daemon_url, profile_option
from greenroom.web.running import complain, explaining

if TYPE_CHECKING:
    from greenroom.web.client import Client

# As in `cli`, each command imports what it needs when it runs.

_ID = click.argument("session_id", metavar="ID", shell_complete=session_ids)


@click.group("session")
@daemon_url
@config
@click.pass_context
def session(context: click.Context, url: str | None, config_file: Path | None) -> None:
    """Create, use and end sessions of the running daemon.

    The daemon's token, if it has one, comes from the settings, as for `serve`. Exit code 1 if the daemon
    refuses or does not answer.
    """
    from greenroom.web.commands.sessions import make_client
    from greenroom.web.settings import load_settings

    with explaining():
        context.obj = context.with_resource(make_client(load_settings(config_file), url))


@session.command()
@profile_option
@click.option("--write", is_flag=True, help="Let its end make the profile's next generation.")
@click.pass_obj
def new(client: "Client", profile: str, write: bool) -> None:
    """Create a session and print its id."""
    from greenroom.actors.lifecycle import ProfileMode

    with explaining():
        click.echo(client.create(profile=profile, mode=ProfileMode.WRITE if write else ProfileMode.READ))


@session.command("list")
@click.pass_obj
def list_sessions(client: "Client") -> None:
    """List the sessions that have not ended: id, state, end, login."""
    with explaining():
        sessions = client.sessions()
        if not sessions:
            click.echo("There is no session: `greenroom session new` makes one", err=True)
        for one in sessions:
            end = one.expires_at.isoformat() if one.expires_at else "-"
            login = one.login_state.value if one.login_state else "-"
            click.echo(f"{one.id}  {one.state.value}  {end}  {login}")


@session.command()
@_ID
@click.pass_obj
def show(client: "Client", session_id: str) -> None:
    """Show one session, as JSON."""
    from greenroom.web.commands.sessions import session_at

    with explaining():
        _print_json(session_at(client, session_id).info().session)


@session.command()
@_ID
@click.pass_obj
def end(client: "Client", session_id: str) -> None:
    """End a session; returns once nothing of it is left."""
    from greenroom.web.commands.sessions import session_at

    with explaining():
        session_at(client, session_id).end()


@session.command()
@_ID
@click.argument("words", metavar="KIND [FIELD=VALUE]...", nargs=-1, required=True)
@click.pass_obj
def act(client: "Client", session_id: str, words: tuple[str, ...]) -> None:
    """Do something in a session's page.

    What came of it is printed as JSON. For example `act ID click target=e5`, `act ID type target=#caption
    text=Hello`, or one action as JSON. docs/sessions.md lists the kinds and their fields.
    """
    from greenroom.web.commands.sessions import read_action, session_at

    try:
        action = read_action(words)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    with explaining():
        answer = session_at(client, session_id).act(action)
        _print_json({"page": answer.page.id, "url": answer.page.url, "result": answer.results[0]})


@session.command()
@_ID
@click.pass_obj
def snapshot(client: "Client", session_id: str) -> None:
    """Print the page's accessibility tree.

    It has refs of what can be acted on.
    """
    from greenroom.web.commands.sessions import session_at
    from greenroom.web.terminal import lines

    with explaining():
        click.echo(lines(session_at(client, session_id).snapshot()))


@session.command()
@_ID
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="Where to; .png, .jpg or .webp.",
)
@click.pass_obj
def screenshot(client: "Client", session_id: str, output: Path) -> None:
    """Write a picture of the page to a file."""
    from greenroom.web.commands.sessions import save_screenshot, session_at

    with explaining():
        save_screenshot(session_at(client, session_id), output)


@session.command()
@_ID
@click.option("--python", "language", flag_value="python", help="Print a Python program that uses it.")
@click.option("--node", "language", flag_value="node", help="Print a Node program that uses it.")
@click.pass_obj
def attach(client: "Client", session_id: str, language: str | None) -> None:
    """Print the address for your own Playwright.

    Or a program that connects there: `greenroom session attach ID --python > use.py`. Closing the browser
    there leaves the session alive; closing the context ends it.
    """
    from greenroom.web.commands.attaching import address_of, node_program, python_program
    from greenroom.web.commands.sessions import session_at

    with explaining():
        address = address_of(session_at(client, session_id))
    if address.startswith("wss:"):
        complain(
            "Playwright must trust the daemon's certificate: unless a public authority has signed it, set "
            "NODE_EXTRA_CA_CERTS to the file of its authority, in Python too"
        )
    match language:
        case "python":
            click.echo(python_program(address, has_token=client.has_token), nl=False)
        case "node":
            click.echo(node_program(address, has_token=client.has_token), nl=False)
        case _:
            click.echo(address)


def _print_json(value: Any) -> None:
    plain = json.loads(msgspec.json.encode(value))
    click.echo(json.dumps(plain, indent=2))  # in ASCII: what a page says can't move the cursor
