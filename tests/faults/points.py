"""Named points before and after every step of a batch and every statement of a seal; and steps that fail by chance.

`arm` wraps the real objects of this process by their public names; nothing of the worker or of the seal is replaced.
What is to go wrong comes in the environment (`Plan.environment`), and `tests.faults.faulty` is the command `turnpath`
with it: a process killed here is as dead as by kill -9 from outside, but at a known place.
"""

import functools
import os
import random
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, Self

import orjson

from sql.readback import Readback
from sql.sink import Sink

VARIABLE = "TURNPATH_TEST_FAULTS"


def _steps(of: type) -> tuple[str, ...]:
    """The public methods of a class, in their order."""
    return tuple(name for name, item in vars(of).items() if callable(item) and not name.startswith("_"))


#: The steps of a batch: what it reads back, what it inserts, and what makes it known.
#: Not the edges of a day with tens of thousands: no traffic here makes one (tests/faults/test_protocol.py does).
READS, INSERTS = tuple(step for step in _steps(Readback) if step != "edges"), _steps(Sink)
STEPS = (*READS, *INSERTS, "ack", "commit", "tick")
POINTS = tuple(f"{step} {when}" for step in STEPS for when in ("before", "after"))


@dataclass(frozen=True)
class Plan:
    """What shall go wrong in a process.

    `crash`: a point of POINTS, or `statement N before|after` in a seal (N from 1); `passing`: the how-manieth passing
    of it is the last. `refused`, `lost`: the share of inserts that fail before they reach the engine, and of those
    that stand there although their answer is lost. `session_s`: after which silence the broker gives a member up;
    `look_s`: how often silent rooms are looked for.
    """

    crash: str = ""
    passing: int = 1
    refused: float = 0.0
    lost: float = 0.0
    seed: int = 0
    session_s: float = 3.0
    look_s: float = 2.0

    @classmethod
    def of_environment(cls) -> Self:
        return cls(**orjson.loads(os.environ.get(VARIABLE, "{}")))

    def environment(self) -> dict[str, str]:
        return {VARIABLE: orjson.dumps(asdict(self)).decode()}


def kill_here() -> None:
    """As kill -9: no handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


class Points:
    """Counts passings, and dies at the one that the plan names."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._passed = 0
        self._lock = Lock()

    def passes(self, point: str) -> None:
        with self._lock:
            if point != self.plan.crash:
                return
            self._passed += 1
            if self._passed == self.plan.passing:
                kill_here()

    def around(self, owner: Any, name: str, step: str, counts: Callable[..., bool] = lambda *_: True) -> None:
        """Points before and after `owner.name`, for calls of which `counts` says that they do something."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not counts(*args):
                return real(*args, **kwargs)
            self.passes(f"{step} before")
            result = real(*args, **kwargs)
            self.passes(f"{step} after")
            return result

        setattr(owner, name, wrapped)

    def around_async(self, owner: Any, name: str, step: str, counts: Callable[..., bool] = lambda *_: True) -> None:
        """The same for a coroutine function."""
        real = getattr(owner, name)

        @functools.wraps(real)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not counts(*args):
                return await real(*args, **kwargs)
            self.passes(f"{step} before")
            result = await real(*args, **kwargs)
            self.passes(f"{step} after")
            return result

        setattr(owner, name, wrapped)


def arm_worker(plan: Plan) -> None:
    """Wrap the steps of a batch; a session that ends soon, so that a dead worker's partitions are soon another's."""
    import faust

    from broker.produce import Producer
    from stream import agents, app
    from stream.transport import BatchConsumer

    points = Points(plan)
    for name in READS:
        points.around(Readback, name, name)
    for name in INSERTS:
        points.around(Sink, name, name, counts=lambda _, rows: bool(rows))
    acked = _Acked()
    points.around(faust.Event, "ack", "ack", counts=acked.note)
    points.around_async(BatchConsumer, "commit", "commit", counts=acked.any_new)
    points.around_async(Producer, "flush", "tick")  # the worker sends nothing else
    make_app = app.make_app

    def made(*args: Any, **kwargs: Any) -> faust.App:
        made = make_app(*args, **kwargs)
        made.conf.broker_session_timeout = plan.session_s
        made.conf.broker_heartbeat_interval = plan.session_s / 5
        return made

    app.make_app = made
    assert agents.LOOK_S > 0
    agents.LOOK_S = plan.look_s
    _fail_by_chance(plan)


class _Acked:
    """A commit of Faust's timer that commits nothing is no step of a batch."""

    def __init__(self) -> None:
        self._new = False

    def note(self, *_: object) -> bool:
        self._new = True
        return True

    def any_new(self, *_: object) -> bool:
        new, self._new = self._new, False
        return new


def _fail_by_chance(plan: Plan) -> None:
    """Inserts that fail as a ClickHouse that is away does: before they arrive, or after they stand."""
    if not plan.refused + plan.lost:
        return
    from journey.errors import Unreachable
    from sql.client import Client

    rng, insert = random.Random(f"{plan.seed}/{os.getpid()}"), Client.insert

    def failing(client: Client, *args: Any) -> None:
        chance = rng.random()
        if chance < plan.refused:
            raise Unreachable("made to fail before the insert")
        insert(client, *args)
        if chance > 1 - plan.lost:
            raise Unreachable("made to fail after the insert: its answer is lost")

    setattr(Client, "insert", failing)  # noqa: B010


def arm_seal(plan: Plan, heard: list[str] | None = None) -> None:
    """Points before and after each statement that this process sends to ClickHouse; `heard` gets their texts."""
    from sql.client import Client

    points = Points(plan)
    number = 0

    def wrap(name: str) -> None:
        real = getattr(Client, name)

        @functools.wraps(real)
        def wrapped(client: Client, text: str, *args: Any, **kwargs: Any) -> Any:
            nonlocal number
            number += 1
            mine = number
            if heard is not None:
                heard.append(f"{name} {text}")
            points.passes(f"statement {mine} before")
            result = real(client, text, *args, **kwargs)
            points.passes(f"statement {mine} after")
            return result

        setattr(Client, name, wrapped)

    for name in ("table", "insert", "stream"):
        wrap(name)
