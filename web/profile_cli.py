"""`greenroom profile`: the master profile and its generations. No daemon is needed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenroom.web.options import config, user_data_dir
from greenroom.web.running import EXIT_FAILED, explaining

if TYPE_CHECKING:
    from greenroom.web.commands.profile import Profile

# As in `cli`, each command imports what it needs when it runs.


@click.group("profile")
@user_data_dir
@config
@click.pass_context
def profile(context: click.Context, user_data_master_dir: str | None, config_file: Path | None) -> None:
    """Show the master profile and its generations.

    Each `greenroom login` that is saved makes a generation. The last five before the current one are kept
    beside the profile, in a directory named like it with `.generations`. No daemon is needed, and none is
    disturbed. Exit code 1 if something can't be done.
    """
    from greenroom.web.commands.profile import Profile
    from greenroom.web.settings import load_settings

    with explaining():
        settings = load_settings(config_file, {"user_data_master_dir": user_data_master_dir})
        context.obj = Profile.of(settings)


@profile.command()
@click.pass_obj
def show(profile: "Profile") -> None:
    """Show the profile, and what uses it.

    Where it is, its generation, its login, and the program that has it now, if any.
    """
    with explaining():
        for what, value in profile.show():
            click.echo(f"{what:<12}{value}")


@profile.command()
@click.pass_obj
def check(profile: "Profile") -> None:
    """Say until when the login can last.

    That is read from the profile; no browser runs. Exit code 1 if there is no login, or it has expired.
    """
    with explaining():
        holds, text = profile.check()
        click.echo(text)
        if not holds:
            sys.exit(EXIT_FAILED)


@profile.command()
@click.pass_obj
def history(profile: "Profile") -> None:
    """List the generations.

    The latest first: number, time, command, size; and which is current.
    """
    with explaining():
        for line in profile.history():
            click.echo(line)


@profile.command()
@click.argument("number", required=False, type=int)
@click.pass_obj
def rollback(profile: "Profile", number: int | None) -> None:
    """Go back to an earlier generation.

    That is the one before the current, or NUMBER. The one that was current is kept, so this can be undone.
    """
    with explaining():
        click.echo(profile.roll_back(number))


@profile.command()
@click.option("--keep", type=click.IntRange(0), default=0, show_default=True, help="How many to keep.")
@click.pass_obj
def prune(profile: "Profile", keep: int) -> None:
    """Remove earlier generations. The current one stays."""
    with explaining():
        click.echo(profile.prune(keep))
