"""`python -m tests.siege`: exit code 1 if `/health` was slow, or if anything stays of the siege."""

import sys
from typing import Final

from tests.siege.plan import WHOLE
from tests.siege.running import run

# With all kinds of clients at once, who need both cores of a small machine. Each kind alone delays it by a
# fifth of this or less.
SLOW_S: Final = 1.0

if __name__ == "__main__":
    outcome = run(WHOLE)
    print(outcome.text())
    sys.exit(outcome.slowest_s > SLOW_S or not outcome.is_clean)
