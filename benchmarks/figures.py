"""The figures: what was measured, the baselines they are compared with, and the bars they have to meet."""

import enum
import math
from collections.abc import Iterable, Sequence

import attrs


class Verdict(enum.Enum):
    """Whether a bar was met."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"
    NO_BAR = ""


class Statistic(enum.Enum):
    """Which figure is taken from a row's samples."""

    P50 = "p50"
    P99 = "p99"
    MAX = "most"

    def of(self, samples: Sequence[float]) -> float:
        """Return this statistic of the samples."""
        match self:
            case Statistic.P50:
                return percentile(samples, 50)
            case Statistic.P99:
                return percentile(samples, 99)
            case Statistic.MAX:
                return max(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile, linearly interpolated. Raises ValueError if there are no samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def round_off(samples: Iterable[float]) -> tuple[float, ...]:
    """Return the samples, rounded to four significant digits."""
    return tuple(float(f"{sample:.4g}") for sample in samples)


@attrs.frozen(kw_only=True)
class Bar:
    """A limit for a row's figure or, if the row has a baseline, for the ratio to the baseline's figure."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value is within the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


@attrs.frozen(kw_only=True)
class Row:
    """One figure: Greenroom's samples and, if there is a baseline, the baseline's from the same run.

    `group` is the section of the report. `why_not` says why there are no samples.
    """

    key: str
    group: str
    title: str
    unit: str
    bar: Bar | None = None
    samples: tuple[float, ...] = attrs.field(default=(), converter=round_off)
    statistic: Statistic = Statistic.P50
    baseline: str | None = None
    baseline_samples: tuple[float, ...] = attrs.field(default=(), converter=round_off)
    why_not: str | None = None

    @property
    def value(self) -> float | None:
        """Greenroom's figure."""
        return self.statistic.of(self.samples) if self.samples else None

    @property
    def baseline_value(self) -> float | None:
        """The baseline's figure."""
        return self.statistic.of(self.baseline_samples) if self.baseline_samples else None

    @property
    def ratio(self) -> float | None:
        """Greenroom's figure divided by the baseline's; None if either is missing."""
        if self.value is None or not self.baseline_value:
            return None
        return self.value / self.baseline_value

    @property
    def verdict(self) -> Verdict:
        """Whether the bar is met."""
        judged = self.value if self.baseline is None else self.ratio
        if judged is None:
            return Verdict.NOT_MEASURED
        if self.bar is None:
            return Verdict.NO_BAR
        return Verdict.MET if self.bar.holds(judged) else Verdict.MISSED

    @property
    def bar_in_words(self) -> str:
        """The bar as the report words it."""
        if self.bar is None:
            return ""
        side = "at least" if self.bar.at_least else "at most"
        if self.baseline is not None:
            return f"{side} {self.bar.limit:g} times {self.baseline}"
        return f"{side} {show(self.bar.limit, self.unit)}"


def show(value: float | None, unit: str) -> str:
    """Return a figure for people, with three significant digits."""
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e6:
        digits = f"{int(value):,}"
    else:
        digits = f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
    return f"{digits} {unit}".strip()


@attrs.frozen(kw_only=True)
class Growth:
    """What a number of sessions at once costs the supervisor alone. Medians of several runs."""

    sessions: int
    cpu_s: float
    memory_mb: float
    idle_cpu_percent: float


@attrs.frozen(kw_only=True)
class Sampling:
    """What it costs to sample a number of sessions at once, and to end them. Medians of several runs.

    CPU is in percent of one core: `cpu_percent` with one sampler for all sessions, `each_cpu_percent` with
    one for each.
    """

    sessions: int
    cpu_percent: float
    each_cpu_percent: float
    end_cpu_s: float


@attrs.frozen(kw_only=True)
class Report:
    """Everything that a run of the benchmarks measured."""

    command: str
    date: str
    machine: str
    versions: str
    quick: bool
    rows: tuple[Row, ...] = ()
    growth: tuple[Growth, ...] = ()
    sampling: tuple[Sampling, ...] = ()
    skipped: dict[str, str] = attrs.field(factory=dict)
