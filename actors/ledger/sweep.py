"""Ends what dead daemons left, in an order that the next sweep can continue after a kill at any moment."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from greenroom.actors.errors import CloneFailed
from greenroom.actors.ledger.entry import keep_entry, listed_sessions, marker_of, read_entry, strike_entry
from greenroom.actors.ledger.folder import (
    FolderLock,
    is_ledger,
    lock_folder,
    remove_folder,
    session_directories,
    session_of,
)
from greenroom.actors.owner import HOST_PREFIX
from greenroom.actors.profile.removal import remove_tree

_log = structlog.get_logger("greenroom.ledger")

KillMarked = Callable[[Collection[str]], Mapping[str, Sequence[int]]]


def sweep(clones_dir: Path, kill_marked: KillMarked) -> int:
    """End what dead daemons' ledgers in `clones_dir` list; return the number of such daemons. Blocks.

    Anything that can't be read or removed is logged, and does not keep the rest from being swept. The entry
    of a session stays for the next sweep if its processes can't be ended or its directories can't be removed.
    """
    count = 0
    for folder in sorted(clones_dir.iterdir()):
        try:
            if not is_ledger(folder):
                continue
            lock = lock_folder(folder)
        except OSError:
            continue  # its daemon lives, or it is not ours to read
        try:
            _sweep_dead(lock, kill_marked)
        except Exception as exc:  # a dead daemon must not keep a new one from starting
            _log.error("could not sweep a dead daemon's directory", owner=folder.name, error=repr(exc))
        else:
            count += 1
        finally:
            lock.release()
    return count


def _sweep_dead(lock: FolderLock, kill_marked: KillMarked) -> None:
    """End processes first, then remove directories, then entries, and the lock file last.

    Processes would write to directories again; an entry must outlive all that it lists; and the lock file is
    how the next sweep recognizes the folder.
    """
    owner, folder = lock.folder.name, lock.inside
    lock.open_up()
    try:
        sessions = listed_sessions(folder) | {session_of(path) for path in session_directories(folder)}
        # Hosts first: a living one could start another browser for a session that was already ended.
        hosts = {session for session in sessions if session.startswith(HOST_PREFIX)}
        alive = _end_processes(folder, owner, hosts, kill_marked)
        alive |= _end_processes(folder, owner, sessions - hosts, kill_marked)
        stuck = {session_of(path) for path in session_directories(folder) if not _remove(path, owner)}
        ended = sessions - alive - stuck
        for session in ended:
            strike_entry(folder, session)
        if not alive | stuck:
            remove_folder(lock)
    except (CloneFailed, OSError) as exc:
        _log_failure(exc, owner)
    else:
        if not stuck:
            _log.info("cleaned up after a dead daemon", owner=owner, sessions=len(ended))


def _end_processes(folder: Path, owner: str, sessions: set[str], kill_marked: KillMarked) -> set[str]:
    """End the processes of `sessions`, all at once.

    Return the sessions that have some left, after making sure that their entries stay.
    """
    if not sessions:
        return set()
    marked = {marker_of(owner, session): session for session in sorted(sessions)}
    for session in marked.values():
        _end_listed(folder, owner, session)
    left = {marked[marker]: pids for marker, pids in kill_marked(list(marked)).items() if pids}
    for session, pids in left.items():
        _log.warning(
            "could not end a dead daemon's processes; the next start will try again",
            owner=owner,
            session_id=session,
            pids=list(pids),
        )
        keep_entry(folder, session)
    return set(left)


def _end_listed(folder: Path, owner: str, session: str) -> None:
    """End the processes that a session's entry lists."""
    try:
        for process in read_entry(folder, owner, session).processes:
            process.kill()
    except FileNotFoundError:
        pass  # the daemon died before it wrote the entry, or something has removed it
    except (OSError, ValueError) as exc:
        _log.error("could not read a ledger entry", owner=owner, session_id=session, detail=str(exc))


def _remove(path: Path, owner: str) -> bool:
    try:
        remove_tree(path)
    except CloneFailed as exc:
        _log_failure(exc, owner)
        return False
    return True


def _log_failure(exc: CloneFailed | OSError, owner: str) -> None:
    detail = exc.detail if isinstance(exc, CloneFailed) else str(exc)
    _log.error("could not remove a dead daemon's directory", owner=owner, detail=detail)
