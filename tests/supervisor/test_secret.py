"""Secrets, in all the ways in which Python shows a value."""

import copy
import json
import pickle
import traceback
from collections.abc import Callable

import attrs
import msgspec
import pytest

from greenroom.actors.browser.wire.messages import Launch, Proxy
from greenroom.supervisor.secret import Secret
from greenroom.web.settings import DaemonSettings

PASSWORD = "hunter2-hunter2-hunter2"
SETTINGS = DaemonSettings(
    token=PASSWORD,
    proxy=f"http://me:{PASSWORD}@host:80",
)


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        ascii,
        format,
        lambda value: f"{value} {value!r} {value!s:>30}",
        lambda value: "%s %r" % (value, value),  # noqa: UP031
        lambda value: str(attrs.asdict(value)) if attrs.has(type(value)) else str([value]),
        lambda value: json.dumps(attrs.asdict(value) if attrs.has(type(value)) else value, default=str),
        lambda value: "".join(traceback.format_exception(ValueError(value))),
        lambda value: repr(copy.deepcopy(value)) + repr(copy.copy(value)),
    ],
)
@pytest.mark.parametrize("value", [Secret(PASSWORD), SETTINGS], ids=["secret", "settings"])
def test_secret_is_not_shown(value: object, shown: Callable[[object], str]) -> None:
    """However a secret, or settings that hold one, are turned into text, the secret stays out."""
    text = shown(value)
    assert text
    assert "hunter2" not in text


@pytest.mark.parametrize("dump", [pickle.dumps, json.dumps, msgspec.json.encode, msgspec.to_builtins])
@pytest.mark.parametrize("value", [Secret(PASSWORD), SETTINGS], ids=["secret", "settings"])
def test_secret_is_not_stored(value: object, dump: Callable[[object], object]) -> None:
    """Serializing a secret raises."""
    with pytest.raises((TypeError, pickle.PicklingError)) as caught:
        dump(value)
    assert "hunter2" not in str(caught.value)


def test_secret_can_be_revealed_and_compared() -> None:
    """`reveal` returns the text."""
    secret = Secret(PASSWORD)
    assert secret.reveal() == PASSWORD
    assert secret == PASSWORD
    assert secret == Secret(PASSWORD)
    assert secret != Secret("other")
    assert secret != 5
    assert len({secret, Secret(PASSWORD), copy.deepcopy(secret)}) == 1
    assert attrs.evolve(SETTINGS, max_sessions=3).token == PASSWORD
    with pytest.raises(TypeError):
        vars(secret)


def test_proxy_in_a_frame_shows_where_it_is_only() -> None:
    """A stack frame quoted in an error or a log doesn't contain the password."""
    proxy = Proxy(server="http://host:80", username="me", password=PASSWORD)
    launch = Launch(
        id=1,
        engine="firefox",
        executable="f",
        profile="p",
        headless=True,
        marker="m",
        scratch="s",
        proxy=proxy,
    )
    assert repr(proxy) == "Proxy(server='http://host:80')"
    assert "hunter2" not in repr(launch) + str(proxy) + str(list(launch.__rich_repr__()))
