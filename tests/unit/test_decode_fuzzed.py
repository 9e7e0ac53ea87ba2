"""journey.decode against a second reading of the contract, event by event; and that reading against the JSON Schema."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import astuple

from journey.decode import decode
from journey.errors import DeadLetter
from journey.events import REASONS
from tests.faults.fuzzed import MUTATIONS, Feed, Sent
from tests.faults.second_reading import Read, read

NOW = 1_793_404_800_000
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())


def decoded(sent: Sent) -> Read:
    try:
        found = decode(sent.value, sent.key, NOW)
    except DeadLetter as dead:
        return Read(None, (), frozenset([dead.reason]))
    assert isinstance(found, tuple)
    return Read((found[0].site_id, found[0].room_id), astuple(found[1]), frozenset())


def stream(seed: int, count: int) -> Iterator[Sent]:
    return islice(Feed(seed, NOW, rooms=50).records(), count)


@pytest.mark.parametrize("seed", range(4))
def test_the_worker_reads_every_record_as_the_contract_says(seed: int) -> None:
    for sent in stream(seed, 5000):
        found, expected = decoded(sent), read(sent.value, sent.key, NOW)
        assert found[:2] == expected[:2], sent
        assert found.reasons <= expected.reasons, sent
        assert bool(found.reasons) == bool(expected.reasons), sent


@pytest.mark.parametrize("seed", range(2))
def test_whoever_breaks_a_rule_on_purpose_sees_it_named(seed: int) -> None:
    seen: Counter[str] = Counter()
    for sent in stream(seed, 3000):
        if sent.reasons is None:
            continue
        found = decoded(sent)
        assert found.reasons == sent.reasons - {"conflict"}, (found, sent)
        seen.update(sent.reasons or {"event"})
    assert set(seen) == {*REASONS, "event"} - {"other_topic"}
    assert 0.4 < seen["event"] / seen.total() < 0.7


def test_the_second_reading_and_the_schema_agree() -> None:
    """On what a schema can say: not on keys, on what a calendar knows, or on 2.0, which is an integer to it."""
    judge = jsonschema.Draft202012Validator(SCHEMA)
    compared = 0
    for sent in stream(9, 3000):
        expected = read(sent.value, sent.key, NOW)
        if sent.value is None or expected.reasons & {"not_json", "not_object", "key_mismatch", "too_large"}:
            continue
        found = json.loads(sent.value)
        if isinstance(found.get("seq"), float) or (not expected.room and _time_is_wrong(found)):
            continue
        compared += 1
        assert judge.is_valid(found) == (expected.room is not None), sent
    assert compared > 1500


def _time_is_wrong(found: dict[str, object]) -> bool:
    return read(json.dumps({**found, "occurred_at": "2026-10-30T00:00:00Z"}).encode(), _key(found), NOW) != read(
        json.dumps(found).encode(), _key(found), NOW
    )


def _key(found: dict[str, object]) -> bytes:
    return str(found.get("room_id")).encode()


def test_every_way_to_break_an_event_is_tried() -> None:
    assert len({name for name, _ in MUTATIONS}) == 22
