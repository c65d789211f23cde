"""What was measured, what it is measured against, and the bar that it is held to."""

import enum
import math
from collections.abc import Iterable, Sequence

import attrs


class Verdict(enum.Enum):
    """What became of a bar."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"
    NO_BAR = ""


class Statistic(enum.Enum):
    """What of a row's samples counts."""

    P50 = "p50"
    P99 = "p99"
    MAX = "most"

    def of(self, samples: Sequence[float]) -> float:
        """Return it."""
        match self:
            case Statistic.P50:
                return percentile(samples, 50)
            case Statistic.P99:
                return percentile(samples, 99)
            case Statistic.MAX:
                return max(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile, between two samples by linear interpolation. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def round_off(samples: Iterable[float]) -> tuple[float, ...]:
    """Return the samples with the four digits that are worth keeping."""
    return tuple(float(f"{sample:.4g}") for sample in samples)


@attrs.frozen(kw_only=True)
class Bar:
    """A limit: of a row's figure, or of its ratio to the baseline's where the row has a baseline."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value is within it."""
        return value >= self.limit if self.at_least else value <= self.limit


@attrs.frozen(kw_only=True)
class Row:
    """One figure: Greenroom's samples, and where it has a baseline, the baseline's from the same run.

    `why_not` says why there are none. `group` is the section that it belongs to.
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
        """Greenroom's figure in units of the baseline's."""
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
        """The bar as the report has it."""
        if self.bar is None:
            return ""
        side = "at least" if self.bar.at_least else "at most"
        if self.baseline is not None:
            return f"{side} {self.bar.limit:g} times {self.baseline}"
        return f"{side} {show(self.bar.limit, self.unit)}"


def show(value: float | None, unit: str) -> str:
    """Return a figure for people, with three digits that mean something."""
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e6:
        digits = f"{int(value):,}"
    else:
        digits = f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
    return f"{digits} {unit}".strip()


@attrs.frozen(kw_only=True)
class Growth:
    """What a number of sessions at once cost the supervisor alone, the median of its runs."""

    sessions: int
    cpu_s: float
    memory_mb: float
    idle_cpu_percent: float


@attrs.frozen(kw_only=True)
class Sampling:
    """What it costs to sample a number of sessions at once, and to end them, the median of its runs.

    CPU is that of a core in percent: with one sampler for all, and with one for each session.
    """

    sessions: int
    cpu_percent: float
    each_cpu_percent: float
    end_cpu_s: float


@attrs.frozen(kw_only=True)
class Report:
    """All that a run found."""

    command: str
    date: str
    machine: str
    versions: str
    quick: bool
    rows: tuple[Row, ...] = ()
    growth: tuple[Growth, ...] = ()
    sampling: tuple[Sampling, ...] = ()
    skipped: dict[str, str] = attrs.field(factory=dict)
