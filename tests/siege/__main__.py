"""`python -m tests.siege`: exit code 1 if `/health` was slow, or if anything stays of the siege."""

import sys

from tests.siege.plan import WHOLE
from tests.siege.running import run
from tests.web.http.abuse import SLOW_S

if __name__ == "__main__":
    outcome = run(WHOLE)
    print(outcome.text())
    sys.exit(outcome.slowest_s > SLOW_S or not outcome.is_clean)
