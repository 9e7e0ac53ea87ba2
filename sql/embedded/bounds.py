"""How much a user may send for one statement."""

import sys
from dataclasses import dataclass

from sql.embedded.errors import SYNTAX_ERROR, Refused


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes of a statement, bytes of a packet, columns of a block (0: nothing to insert, no table sent along)."""

    statement: int = sys.maxsize
    packet: int = sys.maxsize
    columns: int = sys.maxsize

    def check(self, size: int) -> None:
        """Refused (62) if a statement of so many bytes is too long."""
        if size > self.statement:
            raise Refused(
                SYNTAX_ERROR,
                f"Max query size exceeded: a statement has at most {self.statement} bytes. (SYNTAX_ERROR)",
            )
