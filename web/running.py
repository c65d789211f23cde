"""Runs the `greenroom` commands: a signal cancels them, and errors become a message and an exit code."""

import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import click

EXIT_FAILED = 1
EXIT_USAGE = 2

T = TypeVar("T")


class Signalled(Exception):
    """A signal asked the command to stop, and it has cleaned up and stopped. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_command(command: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run `command` and return its result. A signal to stop cancels it and raises `Signalled`."""
    import trio

    from greenroom.web.groups import sole_error_bare
    from greenroom.web.signals import open_stop_signals

    async def run_until_signalled() -> T:
        with open_stop_signals() as signals:
            with sole_error_bare(layers=math.inf):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_heed_signals, signals)
                    result = await command(*args)
                    nursery.cancel_scope.cancel(reason="the command is done")
            return result

    return trio.run(run_until_signalled)


async def _heed_signals(signals: AsyncIterator[signal.Signals]) -> NoReturn:
    """Raise the first signal as an error, which cancels the command. Its cleanup ignores further ones."""
    async for number in signals:
        raise Signalled(number)
    raise AssertionError("signals never end")


def set_up_logging(*, verbose: bool = False, quiet: bool = False) -> None:
    """Log to standard error: all if `verbose`, only failures of Greenroom itself if `quiet`."""
    from greenroom.web.logs import configure_logging
    from greenroom.web.settings.choices import LogLevel

    configure_logging(level=LogLevel.DEBUG if verbose else LogLevel.ERROR if quiet else LogLevel.INFO)


@contextmanager
def explaining() -> Iterator[None]:
    """Turn errors in the block into a readable message on standard error and an exit code."""
    from greenroom.actors.errors import GreenroomError
    from greenroom.web.client.errors import ClientError
    from greenroom.web.commands.sessions import Refused
    from greenroom.web.http.listening import BindFailed
    from greenroom.web.http.tls import TlsUnusable
    from greenroom.web.settings import SettingsError

    try:
        yield
    except SettingsError as exc:
        stop(str(exc), EXIT_USAGE)
    except (GreenroomError, BindFailed, TlsUnusable, ClientError, Refused) as exc:
        stop(_explain(exc), EXIT_FAILED)
    except Signalled as exc:
        from greenroom.web.signals import EXIT_SIGNALLED

        stop("stopped", EXIT_SIGNALLED + exc.number)


def _explain(exc: Exception) -> str:
    """Return all that there is to say to the user of an error."""
    from greenroom.web.client.errors import ApiError

    holder = getattr(exc, "holder", None)
    more = (
        getattr(exc, "hint", None),
        "set GREENROOM_TOKEN to a token of the daemon"
        if isinstance(exc, ApiError) and exc.status == 401
        else None,
        getattr(exc, "told", None),
        f"by {holder.program}, process {holder.pid}" if holder else None,
        getattr(exc, "detail", None),
    )
    first = next((text for text in more if text), None)
    return f"{exc} ({first})" if first else str(exc)


def stop(message: str, code: int) -> NoReturn:
    """End the command with a message and an exit code."""
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Print a message on standard error, each line with the program's name."""
    from greenroom.actors.browser.client.failure import unframe

    for line in unframe(message).splitlines():
        click.echo(f"greenroom: {line}", err=True)
