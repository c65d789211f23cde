"""What is read when somebody asks for the metrics: how things are now."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version

import attrs
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from greenroom.actors.lifecycle import DEFAULT_PROFILE, SessionState
from greenroom.supervisor.api import Supervisor
from greenroom.supervisor.self_check import Condition
from greenroom.web.metrics.leaks import LeakWatch

_STATES = [state.value for state in SessionState if state is not SessionState.ENDED]


@attrs.frozen(eq=False, repr=False)
class Gauges(Collector):
    """Reads the gauges from what the supervisor knows anyway. It asks no disk and no process.

    The only names in labels are those of profiles that exist: clients can ask for any name. A session of
    another profile counts for the profile "", until the self-check has seen the profile.
    """

    _supervisor: Supervisor
    _leaks: LeakWatch

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge with its samples."""
        yield from self._sessions()
        yield from self._room()
        yield from self._profiles()
        yield from self._daemon()
        yield from self._leaked()

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering this collects nothing."""
        return []

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys([DEFAULT_PROFILE, *(one.name for one in self._supervisor.known_profiles)]))

    def _sessions(self) -> Iterator[Metric]:
        overview = self._supervisor.overview()
        sessions = [*overview.sessions, *overview.warm]
        names = self._names
        count: dict[tuple[str, ...], float] = {(state, name): 0 for state in _STATES for name in names}
        memory: dict[tuple[str, ...], float] = {(name,): 0 for name in names}
        for session in sessions:
            name = session.profile.name if session.profile.name in names else ""
            key = (session.state.value, name)
            count[key] = count.get(key, 0) + 1
            used = session.usage.memory_bytes if session.usage else 0
            memory[name,] = memory.get((name,), 0) + used
        yield _gauge(
            "greenroom_sessions",
            "Sessions that have not ended, warm ones included.",
            ["state", "profile"],
            count,
        )
        yield _gauge(
            "greenroom_browser_memory_bytes",
            "Memory of the sessions' browsers, as PSS, when they were last sampled.",
            ["profile"],
            memory,
        )
        yield _single(
            "greenroom_watchers",
            "People who watch a session.",
            sum(len(session.watchers) for session in sessions),
        )
        yield _single(
            "greenroom_clients",
            "Clients that are attached to a session with a Playwright of their own.",
            sum(session.clients for session in sessions),
        )
        yield _single("greenroom_browser_hosts", "Browser hosts that run.", len(overview.hosts))

    def _room(self) -> Iterator[Metric]:
        pressure = self._supervisor.pressure()
        yield _single(
            "greenroom_requested_sessions",
            "Sessions that were asked for and have not ended.",
            pressure.sessions,
        )
        yield _single("greenroom_max_sessions", "How many sessions there may be.", pressure.max_sessions)
        yield _single("greenroom_room_sessions", "How many more sessions can be asked for.", pressure.room)
        yield _single("greenroom_warm_sessions", "Warm sessions that wait for a request.", pressure.warm)
        yield _single("greenroom_launching_sessions", "Sessions that launch now.", pressure.launching)
        yield _single(
            "greenroom_launch_queue_sessions",
            "Sessions that wait until others have launched.",
            pressure.queued,
        )

    def _profiles(self) -> Iterator[Metric]:
        profiles, logged_out = self._supervisor.known_profiles, self._supervisor.logged_out
        yield _gauge(
            "greenroom_profile_login_expiry_timestamp_seconds",
            "When a profile's login ends at the latest, by its cookies.",
            ["profile"],
            {
                (profile.name,): profile.login_expires_at.timestamp()
                for profile in profiles
                if profile.login_expires_at is not None
            },
        )
        yield _gauge(
            "greenroom_profile_logged_out",
            "Whether a profile's last session was judged logged out.",
            ["profile"],
            {(name,): float(name in logged_out) for name in self._names},
        )

    def _daemon(self) -> Iterator[Metric]:
        yield _gauge(
            "greenroom_check_problem",
            "Whether the self-check has found a problem with what sessions need.",
            ["check"],
            {
                (subject.value,): float(check.health is Condition.PROBLEM)
                for subject, check in self._supervisor.checks.items()
            },
        )
        about = self._supervisor.machine
        yield _gauge(
            "greenroom_info",
            "What the daemon runs; the value is always 1.",
            ["version", "engine", "engine_version", "sandbox"],
            {(version("greenroom"), about.engine, about.engine_version, about.sandbox): 1},
        )

    def _leaked(self) -> Iterator[Metric]:
        yield _gauge(
            "greenroom_leaked",
            "Things of the daemon that belong to no session.",
            ["kind"],
            {(kind,): count for kind, count in self._leaks.want().items()},
        )


def _gauge(name: str, help_: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = GaugeMetricFamily(name, help_, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def _single(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=value)
