"""The launch arguments that Camoufox's own package builds, for a bundle that lacks only the binary."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from greenroom.actors.browser.cells.environment import IDENTITY_FILE, browser_environment
from greenroom.actors.browser.engines import find_firefox
from greenroom.actors.browser.host import camoufox_args
from greenroom.actors.browser.host.firefox import PREFERENCES
from greenroom.actors.browser.wire import messages
from tests.patience import patience

# In a process of its own, as in a host: the package settles its directories when it is imported.
# WebGL data is recorded from real machines and downloaded with Camoufox, so it is not there.
BUILD = """
import asyncio, json, sys, warnings
import msgspec
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.host import camoufox_args, browser as session
from greenroom.actors.browser.host.camoufox import build_args
from greenroom.actors.browser.host.driver import Driver

APART = "from greenroom.actors.browser.host import camoufox; camoufox.build(block_webgl=True)"
camoufox_args._BUILD_COMMAND = (sys.executable, "-P", "-W", "ignore", "-c", APART)
session.CamoufoxSession.start = lambda _: asyncio.sleep(0)

async def choose(launch):
    browser = session.BrowserSession(launch, driver=Driver(), on_lost=print, on_navigated=print)
    await browser.start()
    return browser._scrapling._launch_args

built = []
for launch in msgspec.json.decode(sys.argv[1], type=list[messages.Launch]):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        args = build_args(launch, block_webgl=True)
    said = [[warning.category.__name__, str(warning.message)] for warning in caught]
    built.append({"args": args, "warnings": said, "chosen": asyncio.run(choose(launch))})
json.dump(built, open(sys.argv[2], "w"))
"""


@attrs.frozen(kw_only=True)
class Built:
    """The result of building arguments."""

    launch: messages.Launch
    home: Path
    printed: str
    args: dict[str, Any]
    warnings: list[list[str]]
    chosen: dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Built]:
    """Return the results of launches on a stand-in bundle: Camoufox behind a proxy, and Firefox."""
    tmp_path = tmp_path_factory.mktemp("camoufox")
    (tmp_path / "profile").mkdir()
    firefox = find_firefox()
    if firefox is None:
        pytest.skip("no Firefox to stand in for Camoufox")
    bundle = tmp_path / "bundle"
    (bundle / "fontconfig" / "linux").mkdir(parents=True)
    (bundle / "fontconfig" / "linux" / "fonts.conf").write_text("<fontconfig></fontconfig>")
    (bundle / "properties.json").write_text("[]")
    (bundle / "application.ini").write_text("[App]\nVersion=150.0.2\n")
    (bundle / "camoufox-bin").symlink_to(firefox.executable.resolve())
    proxy = messages.Proxy(server="http://proxy:8080", username="user", password="hunter2")
    behind_proxy = messages.Launch(
        id=1,
        session="a",
        engine="camoufox",
        executable=str(bundle / "camoufox-bin"),
        profile=str(tmp_path / "profile"),
        headless=True,
        marker="o.a",
        scratch=str(tmp_path),
        proxy=proxy,
    )
    launches = [behind_proxy, msgspec.structs.replace(behind_proxy, engine="firefox", proxy=None)]
    home = tmp_path / "home"
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", BUILD, msgspec.json.encode(launches).decode(), str(tmp_path / "built")],
        env=environment | {"HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=patience(60),
        text=True,
    )
    built = json.loads((tmp_path / "built").read_text())
    return [
        Built(launch=launch, home=home, printed=done.stdout, **result)
        for launch, result in zip(launches, built, strict=True)
    ]


@pytest.fixture
def camoufox(both: list[Built]) -> Built:
    """Return the arguments for Camoufox behind a proxy."""
    return both[0]


@pytest.fixture
def firefox(both: list[Built]) -> Built:
    """Return the arguments for Firefox, and Camoufox's without a proxy."""
    return both[1]


def fingerprint(args: dict[str, Any]) -> dict[str, Any]:
    """Return the fingerprint that the browser itself assembles from its environment."""
    chunks = sum(name.startswith("CAMOU_CONFIG_") for name in args["env"])
    config = json.loads("".join(args["env"][f"CAMOU_CONFIG_{number}"] for number in range(1, chunks + 1)))
    assert isinstance(config, dict)
    return config


def test_arguments_name_binary_profile_and_window(camoufox: Built) -> None:
    """The browser runs the bundle's binary, on our clone, without a size forced on the page."""
    args = camoufox.args
    assert args["executable_path"] == camoufox.launch.executable
    assert args["user_data_dir"] == camoufox.launch.profile
    assert args["headless"] is True
    assert args["no_viewport"] is True
    assert "channel" not in args


def test_proxy_is_in_playwrights_form(camoufox: Built, firefox: Built) -> None:
    """Credentials are passed as fields, never in a URL; without a proxy there is no setting at all."""
    assert camoufox.args["proxy"] == {
        "server": "http://proxy:8080",
        "username": "user",
        "password": "hunter2",
    }
    assert "hunter2" not in str(camoufox.args | {"proxy": None})
    assert "proxy" not in firefox.args


def test_fingerprint_is_of_linux_and_the_bundles_version(camoufox: Built) -> None:
    """The page sees the operating system that the browser really runs on."""
    config = fingerprint(camoufox.args)
    assert config["navigator.platform"].startswith("Linux")
    assert config["navigator.userAgent"].startswith("Mozilla/5.0 (X11;")
    assert "Firefox/150.0" in config["navigator.userAgent"]


def test_profile_keeps_its_identity(camoufox: Built, firefox: Built) -> None:
    """Each launch is built in a process of its own, from what the first one has put into the profile.

    A profile that has something else there gets a new one.
    """
    kept = Path(camoufox.launch.profile) / IDENTITY_FILE
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "navigator" in json.loads(kept.read_text())
    shown = fingerprint(camoufox.args)
    assert shown == fingerprint(camoufox.chosen) == fingerprint(firefox.args)
    other = msgspec.structs.replace(camoufox.launch, profile=str(kept.parent.with_name("other")))
    Path(other.profile).mkdir()
    made = []
    for broken in ('{"navigator": 1}', "[", "[]"):
        (Path(other.profile) / IDENTITY_FILE).write_text(broken)
        made.append(rebuilt(other, camoufox.home))
    assert all(one["navigator.platform"].startswith("Linux") for one in made)
    assert "navigator" in json.loads((Path(other.profile) / IDENTITY_FILE).read_text())


def rebuilt(launch: messages.Launch, home: Path) -> dict[str, Any]:
    """Return the fingerprint of one more launch."""
    apart = "from greenroom.actors.browser.host import camoufox; camoufox.build(block_webgl=True)"
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", apart],
        input=msgspec.json.encode(launch),
        env=environment | {"HOME": str(home)},
        capture_output=True,
        check=True,
        timeout=patience(60),
    )
    return fingerprint(json.loads(done.stdout))


def test_no_addon_is_loaded(camoufox: Built) -> None:
    """The default add-on would be downloaded while a client waits."""
    assert "addons" not in fingerprint(camoufox.args)
    assert list(camoufox.home.rglob("addons")) == []


def test_only_known_warnings_and_no_output(camoufox: Built, firefox: Built) -> None:
    """The package warns only about the stand-in's missing WebGL data and the proxy, and prints nothing."""
    assert [category for category, _ in camoufox.warnings] == ["LeakWarning", "LeakWarning"]
    assert "geoip=True" in camoufox.warnings[0][1]
    assert "WebGL" in camoufox.warnings[1][1]
    assert [category for category, _ in firefox.warnings] == ["LeakWarning"]
    assert camoufox.printed == ""


def test_environment_is_the_packages_own_and_the_browsers(camoufox: Built) -> None:
    """The environment has only what the browser may see, and the marker by which it is found."""
    assert set(camoufox.args["env"]) == {"CAMOU_CONFIG_1", "CAMOU_PREFS_1", "FONTCONFIG_FILE"}
    assert camoufox.args["env"]["FONTCONFIG_FILE"].startswith(str(camoufox.home))
    chosen = camoufox.chosen["env"]
    assert chosen["GREENROOM_CELL"] == camoufox.launch.marker
    assert chosen["HOME"] == f"{camoufox.launch.scratch}/home"
    assert set(chosen) - set(camoufox.args["env"]) == set(firefox_environment())


def firefox_environment() -> dict[str, str]:
    """Return the environment of a browser without Camoufox's package."""
    return browser_environment(os.environ, marker="o.a", scratch="/s", headless=True)


def test_camoufox_session_launches_with_camoufox_arguments(camoufox: Built) -> None:
    """The engine that the daemon names decides; Camoufox's own protocol has no channel."""
    assert "channel" not in camoufox.chosen
    assert fingerprint(camoufox.chosen)["navigator.platform"].startswith("Linux")
    assert camoufox.chosen["user_data_dir"] == camoufox.launch.profile


PIPE = """
import asyncio, json, os, sys
from playwright.async_api import Error, async_playwright
from tests.patience import patience

async def launch(profile, **args):
    async with async_playwright() as playwright:
        try:
            await playwright.firefox.launch_persistent_context(profile, **args)
        except Error:
            pass

asyncio.run(launch(sys.argv[1], **json.loads(sys.argv[2])))
"""


@pytest.mark.parametrize(("channel", "has_port"), [(None, False), ("moz-firefox", True)])
def test_camoufox_is_driven_by_a_pipe_and_opens_no_port(
    tmp_path: Path, channel: str | None, has_port: bool
) -> None:
    """The installed driver uses a pipe for Camoufox; other users could connect to Firefox's port only."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    browser.chmod(0o700)
    args = {"executable_path": str(browser), **({"channel": channel} if channel else {})}
    command = [sys.executable, "-P", "-c", PIPE, str(tmp_path / "profile"), json.dumps(args)]
    subprocess.run(command, check=True, timeout=patience(60), capture_output=True)
    arguments = (tmp_path / "arguments").read_text().split()
    assert ("-juggler-pipe" in arguments) is not has_port
    assert any("port" in argument for argument in arguments) is has_port


def test_camoufox_is_given_our_preferences_too(camoufox: Built) -> None:
    """The package adds its preferences to ours, which reach the browser in its environment."""
    assert camoufox.args["firefox_user_prefs"].items() >= PREFERENCES.items()
    assert json.loads(camoufox.args["env"]["CAMOU_PREFS_1"]).items() >= PREFERENCES.items()


def test_package_that_fails_gives_no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the package's process ends with an error, so does the launch."""
    monkeypatch.setattr(camoufox_args, "_BUILD_COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    launch = messages.Launch(
        id=1,
        session="a",
        engine="camoufox",
        executable="/missing",
        profile="/missing",
        headless=True,
        marker="o.a",
        scratch="/s",
    )
    with pytest.raises(camoufox_args.CamoufoxFailed, match="ended with 3"):
        asyncio.run(camoufox_args.camoufox_args(launch))


def test_firefox_session_launches_with_firefox_arguments(firefox: Built) -> None:
    """A stock Firefox is driven over WebDriver BiDi and gets no fingerprint."""
    own = {"GREENROOM_CELL": firefox.launch.marker, "TMPDIR": firefox.launch.scratch}
    assert firefox.chosen["env"].items() >= own.items()
    assert {name: value for name, value in firefox.chosen.items() if name != "env"} == {
        "artifacts_dir": f"{firefox.launch.scratch}/artifacts",
        "downloads_path": f"{firefox.launch.scratch}/downloads",
        "user_data_dir": firefox.launch.profile,
        "executable_path": firefox.launch.executable,
        "channel": "moz-firefox",
        "firefox_user_prefs": dict(PREFERENCES),
        "headless": True,
        "no_viewport": True,
        "handle_sighup": False,
        "handle_sigint": False,
        "handle_sigterm": False,
    }
