"""What a shell completes beside commands and options: sessions of the running daemon, and profiles."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

# Nobody waits longer for a shell.
_ANSWER_S = 1.0


def source(command: click.Command, shell: str) -> str:
    """Return the script with which `shell` completes `greenroom`."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"{shell} is no shell that can be told what to complete")
    return kind(command, {}, "greenroom", "_GREENROOM_COMPLETE").source()


def session_ids(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the running daemon's sessions, with their states; none if it does not answer."""
    from greenroom.web.client import ClientError
    from greenroom.web.commands.sessions import make_client
    from greenroom.web.settings import SettingsError, load_settings

    try:
        settings = load_settings(_given(context, "config_file"))
        with make_client(settings, _given(context, "url"), timeout_s=_ANSWER_S) as client:
            sessions = client.sessions()
    except (ClientError, SettingsError):
        return []
    return [CompletionItem(one.id, help=one.state.value) for one in sessions if one.id.startswith(begun)]


def profile_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names of the profiles here."""
    from greenroom.actors.errors import GreenroomError
    from greenroom.web.settings import SettingsError, load_settings

    try:
        given = {"user_data_master_dir": _given(context, "user_data_master_dir")}
        names = load_settings(_given(context, "config_file"), given).profiles.names()
    except (GreenroomError, SettingsError):
        return []
    return [name for name in names if name.startswith(begun)]


def _given(context: click.Context, name: str) -> Any:
    """Return an option of a command, or of the group that it is in."""
    value = context.params.get(name)
    if value is None and context.parent is not None:
        value = _given(context.parent, name)
    return Path(value) if name == "config_file" and value is not None else value
