"""A description of the machine, in general terms, and of the versions that were measured."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import psutil

from greenroom.actors.browser.engines import Engine

_PACKAGES = ("greenroom", "trio", "scrapling", "playwright", "camoufox")


def describe_machine(folder: Path) -> str:
    """Describe this machine and the filesystem of `folder`."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    release = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    kernel = ".".join(platform.release().split(".")[:2])
    cpu = f"{os.cpu_count()} cores{_cpu_model()}"
    return f"{cpu}, {memory} GB of memory, {_filesystem(folder)}, {release}, Linux {kernel}"


def describe_versions(engine: Engine) -> str:
    """Return the versions of Python, the packages, bubblewrap and the browser."""
    packages = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    browser = f"{engine.name.value.capitalize()} {engine.version}"
    return ", ".join([f"Python {platform.python_version()}", *packages, _bubblewrap(), browser])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return f" ({value.strip()})"
    return ""


def _filesystem(folder: Path) -> str:
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False
    ).stdout
    return found.strip().replace("ext2/ext3", "ext4") or "unknown filesystem"


def _bubblewrap() -> str:
    try:
        found = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        found = ""
    return found.strip() or "no bubblewrap"
