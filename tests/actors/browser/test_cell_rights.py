"""What a process in a cell may do, whichever user runs the daemon: less than the owner of its files."""

import os
from pathlib import Path

import attrs
import pytest

from greenroom.actors.browser.cells.sandbox import Rights, bubblewrap_problem, cell_rights
from tests.actors.browser.cell_shell import Shell, make_shell, needs_bubblewrap

NO_CAPABILITIES = "0000000000000000"
IS_ROOT = os.geteuid() == 0

pytestmark = needs_bubblewrap


@pytest.fixture(
    params=[
        pytest.param(
            Rights.USERS,
            marks=pytest.mark.skipif(
                bubblewrap_problem() is not None or cell_rights() is not Rights.USERS,
                reason="no user namespaces here",
            ),
        ),
        pytest.param(Rights.ROOT, marks=pytest.mark.skipif(not IS_ROOT, reason="for root alone")),
    ],
    ids=["user namespace", "root without one"],
)
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """Return a shell in a cell, for each kind of rights that works here."""
    return attrs.evolve(make_shell(tmp_path / "owner"), rights=request.param)


def status(text: str) -> dict[str, str]:
    """Return the fields of /proc/self/status."""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_browser_has_no_capabilities_and_can_get_none(shell: Shell) -> None:
    """The browser has none when it starts, and gets none from a setuid program."""
    found = status(shell.says("cat /proc/self/status"))
    assert [found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NO_CAPABILITIES] * 4
    assert found["NoNewPrivs"] == "1"
    assert all("nosuid" in line for line in shell.says("grep -v ' /dev/pts' /proc/self/mounts").splitlines())


def test_host_has_no_capabilities_but_one_without_user_namespaces(shell: Shell) -> None:
    """Without user namespaces, root's host needs CAP_SYS_ADMIN to make the browsers' namespaces."""
    found = status(shell.run_in_host("cat /proc/self/status").stdout)
    only = f"{1 << 21:016x}" if shell.rights is Rights.ROOT else NO_CAPABILITIES
    assert (found["CapEff"], found["CapPrm"], found["NoNewPrivs"]) == (only, only, "1")


# What an outsider did from within a browser's cell, and what one would try next.
BREAKOUTS = {
    "remount": "mount -o remount,rw /usr",
    "remount in a namespace": "unshare -Urm mount -o remount,rw,bind /usr",
    "unmount in a namespace": "unshare -Urm umount /etc/hosts",
    "fresh proc": "unshare -Urpf --mount-proc true",
    "fresh sysfs": "unshare -Urnm mount -t sysfs none /sys/dev/char",
    "block device": "mknod /tmp/disk b 254 0",
    "kernel setting": "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
    "kernel setting in a namespace": "unshare -Urm sh -c "
    "'umount /proc/sys; cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern'",
    "host name": "hostname greenroom-test",
    "shadow": "cat /etc/shadow",
    "machine id": "cat /etc/machine-id",
    "private keys": "ls /etc/ssl/private",
    "others' names": "grep -v ^browser: /etc/passwd",
    "bus": "ls /run/dbus /run/user",
    "root's home": "ls /root",
    "devices": "ls /dev/vda /dev/sda /dev/mem /dev/kmsg",
    "init's environment": "cat /proc/1/environ /proc/2/root/etc/shadow",
}


@pytest.mark.parametrize("attempt", BREAKOUTS.values(), ids=BREAKOUTS.keys())
def test_breakout_fails(shell: Shell, attempt: str) -> None:
    """From a cell you can change nothing on the machine, and read only what a browser needs."""
    assert shell.run(attempt).returncode != 0


def test_namespaces_are_its_own(shell: Shell) -> None:
    """It shares no processes, names, memory segments or groups with another browser or the machine."""
    kinds = ["pid", "mnt", "uts", "ipc", "cgroup", *(["user"] if shell.rights is Rights.USERS else [])]
    mine = dict(
        zip(
            kinds,
            shell.says(f"readlink {' '.join(f'/proc/self/ns/{k}' for k in kinds)}").split(),
            strict=True,
        )
    )
    assert [kind for kind in kinds if str(Path(f"/proc/self/ns/{kind}").readlink()) == mine[kind]] == []


def test_account_is_the_browsers_own(shell: Shell) -> None:
    """The account has a name and owns its home, and it is not root if that is possible."""
    assert shell.says("id -un; stat -c %U ~ /tmp $XDG_RUNTIME_DIR") == "\n".join(["browser"] * 4)
    assert (shell.says("id -u") == "0") is (IS_ROOT and shell.rights is Rights.ROOT)


EXPECTED = {
    *(
        "bin",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "nix",
        "opt",
        "proc",
        "run",
        "sbin",
        "sys",
        "tmp",
    ),
    *("usr", "var", "console", "core", "dri", "fd", "full", "null", "ptmx", "pts", "random", "shm"),
    *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
}


def test_machine_is_as_small_as_can_be(shell: Shell) -> None:
    """Only the listed files exist: no accounts, and no device that could do harm."""
    assert set(shell.says("ls -A / /dev | grep -v : | sort -u").split()) <= EXPECTED
    assert not {"passwd-", "shadow", "gshadow", "ssh", "sudoers"} & set(shell.says("ls /etc").split())


def test_host_sees_no_accounts_nor_homes(shell: Shell) -> None:
    """The host's own cell shows only what Python, the driver and the browsers need."""
    for path in ("/etc/shadow", "/etc/passwd", "/root/.bashrc", shell.environ["HOME"] + "/cookies.sqlite"):
        assert shell.run_in_host('cat "$1"', path).returncode == (
            0 if path.startswith(str(shell.folder)) else 1
        )
    assert shell.run_in_host("echo x > /usr/greenroom-test").returncode != 0
    assert shell.run_in_host("echo x > /greenroom-test").returncode != 0
    assert shell.run_in_host("ls /dev/proc").returncode != 0


def test_cell_can_make_user_namespaces(shell: Shell) -> None:
    """Firefox keeps its content processes in their own namespaces, a sandbox inside this one."""
    assert shell.says("unshare -U true && echo made") == "made"
