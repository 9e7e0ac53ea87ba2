"""What the processes of tests.faults.forked find imported; imported for that alone."""

import cli.worker
import seal.run
import stream.app
import tests.faults.points

__all__ = ["cli", "seal", "stream", "tests"]
