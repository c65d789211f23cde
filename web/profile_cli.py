"""`greenroom profile`: master profiles and their generations. No daemon is needed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenroom.web.completion import profile_names
from greenroom.web.options import check_name, config, profile_option, site_url, user_data_dir
from greenroom.web.running import EXIT_FAILED, explaining

if TYPE_CHECKING:
    from greenroom.web.commands.profile import Profiles

# As in `cli`, each command imports what it needs when it runs.


_NAME = click.argument("name", metavar="NAME", callback=check_name, shell_complete=profile_names)


@click.group("profile")
@site_url
@user_data_dir
@config
@click.pass_context
def profile(context: click.Context, /, config_file: Path | None, **overrides: object) -> None:
    """Show and change master profiles and their generations.

    Each login that is saved, and each session in write mode, makes a generation. The last five before the
    current one are kept beside the profile, in a directory named like it with `.generations`. No daemon is
    needed, and none is disturbed. Exit code 1 if something can't be done.
    """
    from greenroom.web.commands.profile import Profiles
    from greenroom.web.settings import load_settings

    with explaining():
        context.obj = Profiles(load_settings(config_file, overrides))


@profile.command("list")
@click.pass_obj
def list_profiles(profiles: "Profiles") -> None:
    """List the profiles: name, login, directory."""
    with explaining():
        for line in profiles.list():
            click.echo(line)


@profile.command()
@_NAME
@click.pass_obj
def new(profiles: "Profiles", name: str) -> None:
    """Make an empty profile NAME, to log in to."""
    with explaining():
        click.echo(profiles.new(name))


@profile.command()
@_NAME
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def delete(profiles: "Profiles", name: str, yes: bool) -> None:
    """Delete a profile with all its generations."""
    with explaining():
        if not yes:
            click.confirm(f"Delete the profile {name!r} and its login for good?", abort=True)
        click.echo(profiles.delete(name))


@profile.command()
@profile_option
@click.pass_obj
def show(profiles: "Profiles", profile: str) -> None:
    """Show the profile, and what uses it.

    Where it is, its generation, its login, and the program that has it now, if any.
    """
    with explaining():
        for what, value in profiles.of(profile).show():
            click.echo(f"{what:<12}{value}")


@profile.command()
@profile_option
@click.pass_obj
def check(profiles: "Profiles", profile: str) -> None:
    """Say until when the login can last.

    That is read from the profile; no browser runs. Exit code 1 if there is no login, or it has expired.
    """
    with explaining():
        holds, text = profiles.of(profile).check()
        click.echo(text)
        if not holds:
            sys.exit(EXIT_FAILED)


@profile.command()
@profile_option
@click.pass_obj
def history(profiles: "Profiles", profile: str) -> None:
    """List the generations.

    The latest first: number, time, command, size; and which is current.
    """
    with explaining():
        for line in profiles.of(profile).history():
            click.echo(line)


@profile.command()
@click.argument("number", required=False, type=int)
@profile_option
@click.pass_obj
def rollback(profiles: "Profiles", number: int | None, profile: str) -> None:
    """Go back to an earlier generation.

    That is the one before the current, or NUMBER. The one that was current is kept, so this can be undone.
    """
    with explaining():
        click.echo(profiles.of(profile).roll_back(number))


@profile.command("new-identity")
@profile_option
@click.pass_obj
def new_identity(profiles: "Profiles", profile: str) -> None:
    """Let Camoufox pretend to be another machine.

    A profile keeps the one that it got first, so that its account does not change machines with each session.
    """
    with explaining():
        click.echo(profiles.of(profile).new_identity())


@profile.command()
@click.option("--keep", type=click.IntRange(0), default=0, show_default=True, help="How many to keep.")
@profile_option
@click.pass_obj
def prune(profiles: "Profiles", keep: int, profile: str) -> None:
    """Remove earlier generations. The current one stays."""
    with explaining():
        click.echo(profiles.of(profile).prune(keep))
