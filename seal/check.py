"""What must hold of a stage before it is published; otherwise SealFailed, and nothing is."""

from journey.balance import WAYS_OUT
from journey.errors import SealFailed
from seal.day import Day
from seal.metrics import step
from seal.stage import Stage
from sql.client import Client

#: How many places a message names.
_NAMED = 10

_MOVES_DIFFER = (
    "SELECT site_id, bot_id, sum(came) AS moves, sum(by_edge) AS edges, sum(by_room) AS rooms FROM ("
    "SELECT site_id, bot_id, moves AS came, 0 AS by_edge, 0 AS by_room FROM {counted} "
    "UNION ALL SELECT site_id, bot_id, 0, if(kind = 'edge', moves, 0), if(kind = 'room', moves, 0) FROM {daily} "
    "WHERE kind IN ('edge', 'room')) GROUP BY site_id, bot_id HAVING moves <> edges OR moves <> rooms "
    "ORDER BY site_id, bot_id"
)
_IMBALANCE = (
    "SELECT site_id, bot_id, at_step, at_dialog, sum(entered) AS entries, sum(noted) AS inflow, sum(gone) AS outflow "
    "FROM (SELECT site_id, bot_id, next_step AS at_step, next_dialog AS at_dialog, moves AS entered, 0 AS noted, "
    "0 AS gone FROM {daily} WHERE kind = 'edge' AND next_step > 0 "
    "UNION ALL SELECT site_id, bot_id, step, dialog, 0, moves, 0 FROM {daily} WHERE kind = 'node' "
    "UNION ALL SELECT site_id, bot_id, step, dialog, 0, 0, moves FROM {daily} "
    "WHERE kind = 'edge' AND move IN {{ways:Array(String)}}) "
    "GROUP BY site_id, bot_id, at_step, at_dialog HAVING entries <> outflow OR inflow <> outflow "
    "ORDER BY site_id, bot_id, at_step, at_dialog"
)


@step("check")
def check(client: Client, stage: Stage, day: Day) -> None:
    """The counts are of the moves they came from, and every (step, dialog) is left as often as it is entered."""
    _check_sets(client, stage, day)
    _check_keys(client, stage)
    _check_moves(client, stage, day)
    _check_balance(client, stage, day)


def _check_sets(client: Client, stage: Stage, day: Day) -> None:
    """Whole now, after all that was built from them, they were whole then: nobody fills them again."""
    wanted = client.rows(f"SELECT countIf(NOT is_aside), countIf(NOT is_aside AND is_early) FROM {stage.rooms}")[0]
    there = stage.sizes(client)
    if there != wanted:
        lost = max(rooms - left for rooms, left in zip(wanted, there, strict=True))
        raise SealFailed(
            f"{lost:,} of the rooms of {day.day} were lost while it was built: ClickHouse was started again under the "
            "seal. Nothing was published; seal again"
        )


def _check_keys(client: Client, stage: Stage) -> None:
    """Edges are matched by 64 bits of hash: once in a thousand million days two have the same."""
    if client.rows(f"SELECT count() FROM (SELECT match FROM {stage.edges} GROUP BY match HAVING count() > 1)")[0][0]:
        raise SealFailed("two edges of the day have the same hash: nothing was published; please report it")


def _check_moves(client: Client, stage: Stage, day: Day) -> None:
    """The rows of `moves` were counted by edge in one pass, and gathered by room in another: the same ones."""
    differ = client.rows(_MOVES_DIFFER.format(counted=stage.edges, daily=stage.daily))
    if differ:
        named = [f"{site}/{bot}: {m} moves, {e} in edges, {r} in rooms" for site, bot, m, e, r in differ]
        raise SealFailed(
            f"the figures of {day.day} are not those of the moves they came from ({_some(named)}). Nothing was "
            "published. See docs/seal.md, 'When it fails'"
        )


def _check_balance(client: Client, stage: Stage, day: Day) -> None:
    broken = client.rows(_IMBALANCE.format(daily=stage.daily), {"ways": list(WAYS_OUT)})
    if broken:
        named = [
            f"{site}/{bot} step {step} {dialog}: entered {entries}, inflow {inflow}, ways out {outflow}"
            for site, bot, step, dialog, entries, inflow, outflow in broken
        ]
        raise SealFailed(
            f"the balance of {day.day} is broken ({_some(named)}). Nothing was published. `moves` does not hold what "
            "`turns` says: see docs/seal.md, 'When it fails'"
        )


def _some(named: list[str]) -> str:
    more = len(named) - _NAMED
    return "; ".join(named[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
