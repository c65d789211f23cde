"""Which browser is found, and where."""

import pwd
from pathlib import Path

import pytest

from greenroom.actors.browser.engines import (
    Engine,
    EngineChoice,
    EngineName,
    find_camoufox,
    find_engine,
    read_version,
)
from greenroom.actors.errors import EngineUnavailable


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that nothing is installed on this machine."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CAMOUFOX_EXECUTABLE_PATH", raising=False)


def install(directory: Path, name: str, version: str) -> Path:
    """Make an executable `name` with its `application.ini` next to it."""
    directory.mkdir(parents=True)
    executable = directory / name
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    (directory / "application.ini").write_text(
        f"[App]\nVendor=Mozilla\nName=Firefox\nVersion={version}\nBuildID=20260101000000\n"
    )
    return executable


def install_firefox(tmp_path: Path, name: str, version: str) -> Path:
    """Install a Firefox as Debian does: in its own directory, with a symlink on PATH."""
    link = tmp_path / "bin" / name
    link.symlink_to(install(tmp_path / "lib" / name, name, version))
    return link


@pytest.mark.parametrize("choice", ["auto", "firefox"])
@pytest.mark.parametrize("name", ["firefox-esr", "firefox"])
def test_firefox_on_path_is_found_with_its_version(tmp_path: Path, choice: str, name: str) -> None:
    """The version is next to the binary that the symlink on PATH leads to."""
    link = install_firefox(tmp_path, name, "153.0.1")
    assert find_engine(EngineChoice(choice)) == Engine(
        name=EngineName.FIREFOX, executable=link, version="153.0.1"
    )


def test_both_firefoxes_on_path_gives_the_esr(tmp_path: Path) -> None:
    """Of the two, the ESR is taken, because it changes less often."""
    install_firefox(tmp_path, "firefox", "160.0")
    esr = install_firefox(tmp_path, "firefox-esr", "153.0")
    assert find_engine(EngineChoice.FIREFOX).executable == esr


def test_firefox_without_application_ini_has_an_unknown_version(tmp_path: Path) -> None:
    """A launcher script instead of Firefox is accepted too."""
    install_firefox(tmp_path, "firefox", "160.0")
    (tmp_path / "lib" / "firefox" / "application.ini").unlink()
    assert find_engine(EngineChoice.FIREFOX).version == "unknown"


def test_application_ini_without_version_has_none(tmp_path: Path) -> None:
    """A file without a version is not an error."""
    executable = install(tmp_path / "odd", "firefox", "1")
    (tmp_path / "odd" / "application.ini").write_bytes(b"\xff\xfe[App]\nName=Version\n")
    assert read_version(executable) is None


@pytest.mark.parametrize("choice", ["auto", "firefox", "camoufox"])
def test_nothing_installed_names_the_command_that_fixes_it(choice: str) -> None:
    """The error names the command that installs a browser."""
    with pytest.raises(EngineUnavailable, match="run `greenroom install-browser`"):
        find_engine(EngineChoice(choice))


def test_firefox_alone_is_not_camoufox(tmp_path: Path) -> None:
    """Asking for Camoufox does not return Firefox."""
    install_firefox(tmp_path, "firefox", "160.0")
    with pytest.raises(EngineUnavailable, match="Camoufox is not installed"):
        find_engine(EngineChoice.CAMOUFOX)


@pytest.mark.parametrize("choice", ["auto", "camoufox"])
def test_named_camoufox_is_found_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    """The package's own variable names the engine, and the bundle its version."""
    install_firefox(tmp_path, "firefox", "160.0")
    firefox = install(tmp_path / "lib" / "firefox-esr", "firefox-esr", "153.0")
    bundle = install(tmp_path / "bundle", "camoufox-bin", "150.0.2-beta.30")
    bundle.unlink()
    bundle.symlink_to(firefox)
    monkeypatch.setenv("CAMOUFOX_EXECUTABLE_PATH", str(bundle))
    assert find_engine(EngineChoice(choice)) == Engine(
        name=EngineName.CAMOUFOX, executable=bundle, version="150.0.2-beta.30"
    )


def test_named_camoufox_that_is_not_there_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong path is noticed when the engine is looked up, not while a client waits."""
    monkeypatch.setenv("CAMOUFOX_EXECUTABLE_PATH", str(tmp_path / "missing"))
    with pytest.raises(EngineUnavailable, match="Camoufox is not installed"):
        find_engine(EngineChoice.CAMOUFOX)


def test_old_data_directory_survives_being_looked_at(tmp_path: Path) -> None:
    """Asking Camoufox's package would delete the data of versions before 0.5, so we don't ask."""
    old = tmp_path / "cache" / "camoufox" / "browsers"
    old.mkdir(parents=True)
    (old / "version.json").write_text('{"version": "135.0"}')
    firefox = install_firefox(tmp_path, "firefox", "160.0")
    assert find_engine(EngineChoice.AUTO).executable == firefox
    assert (old / "version.json").read_text() == '{"version": "135.0"}'
    assert list((tmp_path / "cache" / "camoufox").iterdir()) == [old]


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_user_without_a_home_has_no_camoufox(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container whose image doesn't know the user, there is no home, and no crash."""

    def find_nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "CAMOUFOX_EXECUTABLE_PATH"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    assert find_camoufox() is None
