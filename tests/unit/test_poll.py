"""A partition's poll, and what its records say."""

import gc
import weakref

from journey.errors import DeadLetter
from stream.poll import Poll, decode_all
from tests.unit.histories import T0, Record


def test_what_is_broken_holds_nothing_of_its_poll() -> None:
    """Else every broken record holds all records that came with it, until the garbage collector comes round."""
    records = [Record(0, T0, None, b"r", b"no json"), Record(1, T0, None, b"r", b'{"type":"turn","seq":[]}')]
    alive = weakref.ref(records[0])
    gc.disable()
    try:
        decoded = decode_all(Poll("chatbot.turns", 0, records, 2))
        del records
        assert [type(item) for item in decoded] == [DeadLetter, DeadLetter]
        assert alive() is None
    finally:
        gc.enable()
