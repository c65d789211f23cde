"""Commands that give a profile its login, or take it: `login`, `import` and `export`."""

import sys
from pathlib import Path

import click

from greenroom.web.completion import profile_names
from greenroom.web.options import (
    check_name,
    config,
    engine,
    profile_option,
    site_url,
    user_data_dir,
    verbose_option,
)
from greenroom.web.running import EXIT_FAILED, explaining, run_command, set_up_logging

# As in `cli`, each command imports what it needs when it runs.

_daemon = click.option(
    "--daemon",
    metavar="URL",
    help="A daemon to use.  [default: the one that runs here, unless other settings are given]",
)


@click.command()
@click.argument(
    "profile",
    metavar="[NAME]",
    default="default",
    callback=check_name,
    shell_complete=profile_names,
)
@site_url
@user_data_dir
@engine
@config
@_daemon
@click.option("--live", is_flag=True, help="Show the browser in the live view, even if there is a display.")
@click.option("--headless", is_flag=True, help="Show no browser; for sites that log in without a person.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    default=600,
    show_default=True,
    help="Give up if no login was seen within this time.",
)
@verbose_option
def login(
    profile: str,
    config_file: Path | None,
    daemon: str | None,
    live: bool,
    headless: bool,
    timeout_s: int,
    verbose: bool,
    **overrides: object,
) -> None:
    """Log in to the master profile by hand, in a browser.

    With NAME, to the profile of that name. One that does not exist is made.

    The browser has a window, if there is a display. Otherwise, and with a running daemon, it is shown in the
    live view, at an address that is printed. It runs on a copy of the profile until its page shows a login.
    The copy then takes the profile's place in one step; `greenroom profile rollback` undoes that. Your own
    settings are kept.

    Exit code 1 if no login was saved.
    """
    own = _is_own(daemon, headless, overrides)
    set_up_logging(verbose=verbose, quiet=not verbose)
    with explaining():
        from greenroom.web.commands.desk import open_desk
        from greenroom.web.commands.login import Way, log_in
        from greenroom.web.display import display_problem
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file, overrides)

        async def log_in_here() -> bool:
            async with open_desk(settings, url=daemon, own=own) as desk:
                way = Way.LIVE
                if headless:
                    way = Way.NONE
                elif desk.is_own and not live and display_problem() is None:
                    way = Way.WINDOW
                return await log_in(desk, click.echo, way=way, profile=profile, timeout_s=timeout_s)

        if not run_command(log_in_here):
            sys.exit(EXIT_FAILED)


@click.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@profile_option
@site_url
@user_data_dir
@engine
@config
@_daemon
@click.option("--all", "takes_all", is_flag=True, help="Also take what is of other sites.")
@verbose_option
def import_(
    source: Path,
    profile: str,
    config_file: Path | None,
    daemon: str | None,
    takes_all: bool,
    verbose: bool,
    **overrides: object,
) -> None:
    """Give a profile the login in FILE.

    That is cookies.txt, what a browser's extension exports as JSON, Playwright's storage state, or the
    directory of a Firefox profile, of which the site's cookies and local storage are taken. A profile that
    does not exist is made. A browser must show the login before it is saved; otherwise the profile stays as
    it is.

    With --daemon, the login goes to a daemon elsewhere: the site's cookies and storage, and nothing else.
    """
    # The site says what is taken, also if a daemon does the rest.
    others = {name: value for name, value in overrides.items() if daemon is None or name != "tiktok_url"}
    own = _is_own(daemon, False, others)
    set_up_logging(verbose=verbose, quiet=not verbose)
    with explaining():
        from greenroom.web.commands.desk import open_desk
        from greenroom.web.commands.moving import import_login
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file, overrides)

        async def import_here() -> None:
            async with open_desk(settings, url=daemon, own=own) as desk:
                url = settings.tiktok_url
                await import_login(desk, source, click.echo, profile=profile, url=url, takes_all=takes_all)

        run_command(import_here)


@click.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@profile_option
@site_url
@user_data_dir
@engine
@config
@_daemon
@click.option("--all", "takes_all", is_flag=True, help="Also write what is of other sites.")
@verbose_option
def export(
    target: Path,
    profile: str,
    config_file: Path | None,
    daemon: str | None,
    takes_all: bool,
    verbose: bool,
    **overrides: object,
) -> None:
    """Write a profile's login to FILE.

    That is a new file, readable by you only, in the format of Playwright's storage state: cookies, local
    storage and IndexedDB of the site, from a session whose page has shown the login.
    """
    # The site says what is taken, also if a daemon does the rest.
    others = {name: value for name, value in overrides.items() if daemon is None or name != "tiktok_url"}
    own = _is_own(daemon, False, others)
    set_up_logging(verbose=verbose, quiet=not verbose)
    with explaining():
        from greenroom.web.commands.desk import open_desk
        from greenroom.web.commands.moving import export_login
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file, overrides)

        async def export_here() -> None:
            async with open_desk(settings, url=daemon, own=own) as desk:
                url = settings.tiktok_url
                await export_login(desk, target, click.echo, profile=profile, url=url, takes_all=takes_all)

        run_command(export_here)


def _is_own(daemon: str | None, headless: bool, overrides: dict[str, object]) -> bool:
    """Whether a command is not to use the running daemon: what it was told is not what that runs with.

    Raises `UsageError` if it is to use one all the same.
    """
    is_own = headless or any(value is not None for value in overrides.values())
    if daemon is not None and is_own:
        raise click.UsageError("With --daemon, its browsers run as it does: leave out other settings.")
    return is_own
