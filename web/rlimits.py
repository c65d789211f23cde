"""The limits on files and threads of the daemon's processes, and whether they suffice for its settings."""

import math
import os
import resource
from typing import Final

import attrs

from greenroom.actors.errors import ResourcesExhausted
from greenroom.supervisor.config import SupervisorConfig

# Measured on Firefox 140: the daemon has 16 files open when idle and 25 while four sessions launch. It starts
# no session with fewer than 64 to spare. A browser's main process has 125 open on an almost empty page.
_IDLE_FILES: Final = 64
_LAUNCH_FILES: Final = 64
_SESSION_FILES: Final = 8
_BROWSER_FILES: Final = 512
# Measured: 151 for a session that shares a host with three others, 212 for one alone.
_SESSION_THREADS: Final = 212

# A higher limit only slows down programs that loop over all possible descriptors.
_ENOUGH_FILES: Final = 1 << 18


@attrs.frozen(kw_only=True)
class Limits:
    """How many files a process and how many threads this user may have; may be infinite."""

    files: float
    threads: float


def raise_limits() -> Limits:
    """Raise this process's limits as far as allowed, and return them. Child processes inherit them."""
    return Limits(
        files=_raise(resource.RLIMIT_NOFILE, _ENOUGH_FILES),
        threads=math.inf if os.geteuid() == 0 else _raise(resource.RLIMIT_NPROC, math.inf),  # root is exempt
    )


def check_limits(config: SupervisorConfig, limits: Limits) -> None:
    """Raise `ResourcesExhausted` if the limits are too low for the configured number of sessions."""
    launching = min(config.max_launching, config.max_sessions)
    daemon = _IDLE_FILES + _LAUNCH_FILES * launching + _SESSION_FILES * config.max_sessions
    needed = Limits(files=max(daemon, _BROWSER_FILES), threads=_SESSION_THREADS * config.max_sessions)
    if limits.files < needed.files:
        why = f"a process may open {limits.files:,} files, {needed.files:,} are needed"
        how = "ulimit -Hn, systemd's LimitNOFILE, Docker's --ulimit nofile=N"
    elif limits.threads < needed.threads:
        why = f"this user may have {limits.threads:,} threads, {needed.threads:,} are needed"
        how = "ulimit -Hu, systemd's LimitNPROC, Docker's --ulimit nproc=N"
    else:
        return
    raise ResourcesExhausted(
        f"There is no room for max_sessions={config.max_sessions}: {why}",
        detail=f"raise the hard limit ({how}) or lower max_sessions",
    )


def _raise(kind: int, enough: float) -> float:
    """Raise the soft limit to the hard one or to `enough`, whichever is lower; return it."""
    soft, hard = (
        math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(kind)
    )
    raised = max(soft, min(hard, enough))
    if raised != soft:
        resource.setrlimit(kind, (_as_limit(raised), _as_limit(hard)))
    return raised


def _as_limit(limit: float) -> int:
    return resource.RLIM_INFINITY if math.isinf(limit) else int(limit)
