"""What a shell completes, in a real bash and by what click asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from greenroom.actors.testing import FakeMachine
from greenroom.web.cli import main
from tests.actors.profile.profile_trees import make_profile
from tests.patience import patience
from tests.web.http.front import open_front

BIN = Path(sys.executable).parent
# What bash does when somebody presses Tab after these words.
TAB = """
tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _greenroom_completion greenroom; }
eval "$(greenroom completion bash)"
complete -p greenroom > /dev/null || exit
tab greenroom stat; echo "${COMPREPLY[@]}"
tab greenroom session --url "$1" end ""; echo "${COMPREPLY[@]}"
"""


def completed(*words: str) -> list[str]:
    """Return what the last word is completed to."""
    *before, begun = words
    found = ShellComplete(main, {}, "greenroom", "_GREENROOM_COMPLETE").get_completions(before, begun)
    return [item.value for item in found]


async def test_bash_completes_commands_and_sessions() -> None:
    """As after `eval "$(greenroom completion bash)"` in ~/.bashrc.

    On a busy machine, the sessions may come too late for a shell. So somebody may press Tab again.
    """
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    async with open_front(FakeMachine()) as front:
        session_id = (await front.establish()).rpartition("/")[2]
        lines = ["status", ""]
        with trio.fail_after(patience(30)):
            while lines == ["status", ""]:
                command = ["bash", "--norc", "-c", TAB, "bash", front.url]
                done = await trio.run_process(command, capture_stdout=True, env=env)
                lines = done.stdout.decode().splitlines()
    assert lines == ["status", session_id]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_for_each_shell_is_printed(shell: str) -> None:
    """They ask the command itself."""
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_GREENROOM_COMPLETE={shell}_complete" in result.stdout


def test_script_for_bash_is_valid() -> None:
    """It is evaluated by each shell that starts."""
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_profiles_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one is named, from what is on the disk; the settings say where that is."""
    make_profile(tmp_path / "master")
    make_profile(tmp_path / "master.profiles" / "shop")
    where = ["--user-data-dir", str(tmp_path / "master")]
    assert completed("profile", *where, "show", "--profile", "") == ["default", "shop"]
    assert completed("profile", *where, "delete", "s") == ["shop"]
    monkeypatch.setenv("CAMOUFOX_USER_DATA_DIR", str(tmp_path / "master"))
    assert completed("login", "") == ["default", "shop"]
    assert completed("session", "new", "--profile", "d") == ["default"]


def test_nothing_is_completed_where_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no daemon; the settings are wrong. A shell is told nothing, and sees no error."""
    monkeypatch.setenv("GREENROOM_BIND", "127.0.0.1:1")
    assert completed("session", "end", "") == []
    monkeypatch.setenv("GREENROOM_BIND", "nonsense")
    assert completed("session", "end", "") == []
    assert completed("profile", "delete", "") == []
