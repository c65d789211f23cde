"""Options that several commands have."""

from pathlib import Path

import click

config = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A TOML file with a [greenroom] section.",
)
user_data_dir = click.option(
    "--user-data-dir",
    "user_data_master_dir",
    metavar="DIR",
    help="The master profile.  [default: CAMOUFOX_USER_DATA_DIR or ./user_data]",
)
profile_option = click.option(
    "--profile", "profile", metavar="NAME", default="default", help="The master profile, by its name."
)
