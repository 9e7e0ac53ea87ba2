"""The command `turnpath` with faults in it: `python -m tests.faults.faulty worker`, its Plan in the environment."""

import sys

from cli.main import main
from tests.faults import points


def worker() -> None:
    """`turnpath worker`, in this process."""
    sys.argv = ["turnpath", "worker"]
    points.arm_worker(points.Plan.of_environment())
    main()


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker()
    points.arm_seal(points.Plan.of_environment())
    main()
