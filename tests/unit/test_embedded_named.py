"""The sessions that clients of HTTP name: whose they are, and when they end."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from sql.embedded import named
from sql.embedded.errors import SESSION_NOT_FOUND, Refused, Vanished
from sql.embedded.named import NamedSessions


@dataclass
class Made:
    """A session that notes its end."""

    user: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """In the endpoint's place."""

    made: list[Made] = field(default_factory=list)

    def session(self, user: str, mark: str) -> Made:
        del mark
        self.made.append(Made(user))
        return self.made[-1]


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def sessions(maker: Maker) -> NamedSessions:
    endpoint: Any = maker
    return NamedSessions(endpoint)


def ask(
    sessions: NamedSessions, user: str, name: str, error: Exception | None = None, must_exist: bool = False
) -> None:
    with sessions.borrowed(user, name, 60, must_exist):
        if error:
            raise error


@pytest.mark.parametrize("error", [RuntimeError("chDB's own"), Vanished("in the middle"), KeyError("a bug")])
def test_a_session_ends_with_what_is_no_refusal(sessions: NamedSessions, maker: Maker, error: Exception) -> None:
    with pytest.raises(type(error)):
        ask(sessions, "reader", "mine", error)
    assert maker.made[0].closed
    with pytest.raises(Refused) as refused:
        ask(sessions, "reader", "mine", must_exist=True)
    assert refused.value.code == SESSION_NOT_FOUND


def test_a_session_outlives_a_refusal(sessions: NamedSessions, maker: Maker) -> None:
    with pytest.raises(Refused):
        ask(sessions, "reader", "mine", Refused(62, "Syntax error"))
    ask(sessions, "reader", "mine", must_exist=True)
    assert [each.closed for each in maker.made] == [False]


def test_each_user_has_so_many_and_closes_nobody_elses(
    sessions: NamedSessions, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "_MOST", 3)
    ask(sessions, "default", "kept")
    for n in range(9):
        ask(sessions, "reader", f"session {n}")
    ask(sessions, "default", "kept", must_exist=True)
    assert [each.user for each in maker.made if not each.closed] == ["default", *["reader"] * 3]
    for n in (6, 7, 8):  # the oldest went; to come back to one that is there closes none
        ask(sessions, "reader", f"session {n}", must_exist=True)
