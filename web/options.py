"""Options that several commands have."""

from pathlib import Path

import click

from greenroom.web.completion import profile_names

ENGINES = ("auto", "camoufox", "firefox")

config = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A TOML file with a [greenroom] section.",
)
daemon_url = click.option(
    "--url", metavar="URL", help="The daemon's address.  [default: where serve would listen]"
)
engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="The browser to launch; auto takes Camoufox, or Firefox if Camoufox is not installed.",
)
verbose_option = click.option("--verbose", is_flag=True, help="Also log what browsers and their hosts print.")
site_url = click.option("--url", "tiktok_url", metavar="URL", help="The page that sessions open.")
user_data_dir = click.option(
    "--user-data-dir",
    "user_data_master_dir",
    metavar="DIR",
    help="The master profile.  [default: CAMOUFOX_USER_DATA_DIR or ./user_data]",
)


def check_name(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    """Return a profile's name, if one is given, or raise `BadParameter` for what can't be one."""
    if name is None:
        return None
    from greenroom.actors.lifecycle import check_profile_name

    try:
        check_profile_name(name)
    except ValueError as exc:
        raise click.BadParameter(f"{name!r}. {exc}.") from None
    return name


profile_option = click.option(
    "--profile",
    "profile",
    metavar="NAME",
    default="default",
    callback=check_name,
    shell_complete=profile_names,
    help="The master profile, by its name.",
)
