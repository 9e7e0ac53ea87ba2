"""What all conversations share: the engine, the watch over running queries and their ids, and who may do what."""

from dataclasses import dataclass, field

from sql.embedded.access import DEFAULT, Doorkeeper
from sql.embedded.engine import Engine, Session
from sql.embedded.reader import Readers, ReaderSession
from sql.embedded.running import Running
from sql.embedded.watch import Watch


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine with its users."""

    engine: Engine
    watch: Watch
    doorkeeper: Doorkeeper
    readers: Readers
    running: Running = field(default_factory=Running)

    def session(self, user: str, mark: str) -> Session:
        """A session of the engine for a user that the doorkeeper let in; by the mark its queries are known."""
        return Session(self.engine, mark) if user == DEFAULT else ReaderSession(self.engine, mark, self.readers)
