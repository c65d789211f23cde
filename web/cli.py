"""The `greenroom` command."""

import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenroom.web import completion
from greenroom.web.client_cli import leaks, mcp, status
from greenroom.web.history_cli import history
from greenroom.web.login_cli import export, import_, login
from greenroom.web.options import ENGINES
from greenroom.web.options import config as _config
from greenroom.web.options import engine as _engine
from greenroom.web.options import site_url as _url
from greenroom.web.options import user_data_dir as _user_data_dir
from greenroom.web.options import verbose_option as _verbose
from greenroom.web.profile_cli import profile
from greenroom.web.running import (
    EXIT_FAILED,
    Signalled,
    complain,
    explaining,
    run_command,
    set_up_logging,
    stop,
)
from greenroom.web.session_cli import session
from greenroom.web.streams import be_patient, open_missing_streams

if TYPE_CHECKING:
    from rich.console import Console

# Each command imports what it needs when it runs, because importing everything takes half a second.

EXIT_VERDICT_USAGE = 4  # for `verdict`, 2 means uncertain

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="greenroom")
def main() -> None:
    """Logged-in TikTok browser sessions on call.

    To start: `install-browser` gets a browser, `login` logs your profile in, `doctor` shows what would fail,
    `serve` runs the daemon, `status` shows it, `session` uses its sessions. `demo` shows all of this on a
    practice site. `completion` teaches your shell these commands.

    Every setting can also come from a TOML file (--config FILE, else the one that GREENROOM_CONFIG names) or
    the environment (GREENROOM_MAX_SESSIONS=4). An empty variable counts as not set.
    """
    open_missing_streams()


@main.command()
@click.option(
    "--bind", metavar="HOST:PORT", help="Where to listen; or unix:/PATH.  [default: 127.0.0.1:8700]"
)
@_url
@_user_data_dir
@_engine
@click.option("--headless/--no-headless", default=None, help="Hide or show the browsers.  [default: hide]")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    help="Log lines of this level and above; debug adds what browsers print.  [default: info]",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    help="How lines look; auto is text on a terminal and in systemd's journal, else json.  [default: auto]",
)
@_config
@click.option("--check", is_flag=True, help="Only check whether it could serve, and say what is in the way.")
@click.option("--verbose", is_flag=True, help="The same as --log-level debug.")
def serve(config_file: Path | None, check: bool, verbose: bool, **overrides: object) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP makes it read its tokens again.

    POST /tiktok/session on its address makes a session, GET /openapi.json describes the rest. When told to
    stop, it takes no more sessions and gives live ones drain_grace seconds; a second signal ends them
    at once, and a third ends the daemon itself, without cleaning up.

    With --check it serves nothing, and says what would keep it from serving.

    Exit code 0 after such an end, or if --check finds nothing in the way; 1 if it can't run here, 2 if a
    setting is invalid, and 128 plus the signal's number after a third signal.
    """
    from greenroom.actors.resources import collect_rarely, keep_one_arena

    if not check:
        be_patient()
        keep_one_arena()
    set_up_logging(verbose=verbose)
    with explaining():
        import trio

        from greenroom.web.commands.serve import serve as serve_daemon
        from greenroom.web.logs import configure_logging
        from greenroom.web.settings import load_settings

        if verbose:
            overrides["log_level"] = "debug"
        settings = load_settings(config_file, overrides)
        configure_logging(level=settings.log_level, style=settings.log_format)
        if check:
            from greenroom.web.commands.checking import show_check

            sys.exit(0 if run_command(show_check, settings, config_file, _console()) else EXIT_FAILED)
        collect_rarely()
        trio.run(serve_daemon, settings, click.echo)


@main.command()
@click.option(
    "--bind", metavar="HOST:PORT", default="127.0.0.1:8701", show_default=True, help="Where to listen."
)
def practice(bind: str) -> None:
    """Serve the practice site, a stand-in for tiktok.com.

    Its page /login?as=NAME logs in by itself: `greenroom login --headless --url` with that address creates a
    profile to experiment with. Runs until SIGTERM or Ctrl-C.
    """
    import trio

    from greenroom.web.practice import open_practice_site

    async def serve_site() -> None:
        async with open_practice_site(bind) as url:
            click.echo(f"practice site  {url}/\nall its pages  {url}/practice")
            await trio.sleep_forever()

    with explaining(), suppress(Signalled):
        run_command(serve_site)


@main.command()
@_url
@_user_data_dir
@_engine
@_config
@click.option("--launch/--no-launch", default=True, help="Launch the browser for real.  [default: launch]")
@click.option("--json", "as_json", is_flag=True, help="One document of JSON: ok, and a list of findings.")
@_verbose
def doctor(config_file: Path | None, launch: bool, as_json: bool, verbose: bool, **overrides: object) -> None:
    """Check what is here, what would fail, and the fix.

    Looks at what `serve` would run with, on its directories, and launches a browser on a clone of the master
    profile as a session does. The site is asked for one page, without cookies.

    Exit code 1 if sessions can't run.
    """
    set_up_logging(verbose=verbose)
    with explaining():
        from greenroom.web.commands.doctor import show_examination
        from greenroom.web.settings import load_settings

        settings = load_settings(config_file, overrides)
        show = partial(show_examination, settings, _console(), launch=launch, as_json=as_json)
        if not run_command(show):
            sys.exit(EXIT_FAILED)


@main.command()
@_engine
@_verbose
def demo(engine: str | None, verbose: bool) -> None:
    """Run the main job on the practice site and a browser.

    Logs in a profile of its own, serves sessions from it, uses one, and shows expected and actual results. It
    does not touch your profile. A picture of the page that was used is left in demo/session.png.

    Exit code 0 only if every result is as expected.
    """
    set_up_logging(verbose=verbose, quiet=not verbose)
    with explaining():
        from greenroom.web.commands.demo import run_demo

        if not run_command(run_demo, engine or ENGINES[0], _console()):
            sys.exit(EXIT_FAILED)


main.add_command(login)
main.add_command(import_)
main.add_command(export)
main.add_command(history)
main.add_command(session)
main.add_command(profile)
main.add_command(status)
main.add_command(mcp)
main.add_command(leaks)


@main.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion_script(shell: str) -> None:
    """Print what makes a shell complete this command.

    For bash, put `eval "$(greenroom completion bash)"` into ~/.bashrc; for zsh, the same with zsh into
    ~/.zshrc; for fish, `greenroom completion fish | source` into ~/.config/fish/config.fish.
    """
    click.echo(completion.source(main, shell))


class _VerdictCommand(click.Command):
    """A command with an exit code for wrong usage that is not a verdict's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as exc:
            exc.show()
            raise click.exceptions.Exit(EXIT_VERDICT_USAGE) from exc


@main.command(cls=_VerdictCommand)
@click.argument("sources", metavar="FILE|URL|-...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each page.")
@click.option("--show-viewer", is_flag=True, help="Also show the handle of the logged-in user.")
def verdict(sources: tuple[str, ...], as_json: bool, show_viewer: bool) -> None:
    """Judge saved pages of tiktok.com: logged in or out.

    Shows the evidence for a page's verdict; for several pages, one line each and a total. An address is
    fetched without cookies. It shows no content of the pages.

    Exit code 0 if logged in, 1 if logged out, 2 if uncertain, 3 if there is no page to read, and 4 for wrong
    usage. For several pages, the highest.
    """
    from greenroom.web.commands.verdict import show_verdicts

    try:
        code = show_verdicts(sources, _console(), complain, as_json=as_json, show_viewer=show_viewer)
    except KeyboardInterrupt:  # click's own exit code for this is a verdict
        from greenroom.web.signals import EXIT_SIGNALLED

        stop("stopped", EXIT_SIGNALLED + signal.SIGINT)
    sys.exit(code)


@main.command("install-browser")
def install_browser_command() -> None:
    """Get a browser: Camoufox where possible, else Firefox.

    As root, and with apt-get, it also installs what is missing: Firefox, bubblewrap, libraries. Otherwise it
    says what to install.

    Exit code 1 if no browser can start.
    """
    from greenroom.web.commands.install_browser import install_browser

    if not install_browser(say=click.echo):
        sys.exit(EXIT_FAILED)


@main.command()
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: the standard output]",
)
def openapi(output: Path | None) -> None:
    """Describe the HTTP side, as OpenAPI 3.1 in JSON.

    A daemon with a token serves the same at /openapi.json; one without leaves out what is about tokens. Both
    serve it as a page at /docs.
    """
    from greenroom.web.commands.openapi import openapi_text

    with explaining():
        if output is None:
            click.echo(openapi_text(), nl=False)
            return
        try:
            output.write_text(openapi_text(), encoding="utf-8")
        except OSError as exc:
            stop(f"Can't write {str(output)!r}: {exc.strerror}", EXIT_FAILED)


def _console() -> "Console":
    from greenroom.web.console import make_console

    return make_console(sys.stdout)
