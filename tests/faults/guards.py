"""Takes the guards of the delivery out, one by one, in a copy of the tree: for each, its test must fail.

    python -m tests.faults.guards              # all; or some: words of their names
    python -m tests.faults.guards --table      # the table of docs/delivery.md

tests/unit/test_delivery_docs.py holds that each guard's text stands in its file, and the table in the page.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a copy needs not have.
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "data", "deploy")

#: A guard that is out may be missed by a test that waits for ever.
_LIMIT_S = 300


@dataclass(frozen=True)
class Guard:
    """`text` stands once in `file`; with `without` in its place the guard is out, and `test` must fail."""

    rule: str
    name: str
    file: str
    text: str
    without: str
    test: str

    def taken_out(self, source: str) -> str:
        """The source without this guard."""
        found = source.count(self.text)
        if found != 1:
            raise ValueError(
                f"guard {self.name!r}: its text stands {found} times in {self.file}: write into tests/faults/guards.py "
                f"how it is written now: {self.text!r}"
            )
        return source.replace(self.text, self.without)


_DELIVERY = "tests/unit/test_delivery.py::"
_GUARDS = "tests/unit/test_delivery_guards.py::"
_PROTOCOL = "tests/faults/test_protocol.py::test_at_rest_the_tables_are_the_logs"
_WHATEVER = f"{_DELIVERY}test_the_tables_are_the_logs_whatever_happens"
_SILENCE = f"{_DELIVERY}test_in_silence_gaps_are_given_up_and_idle_rooms_close"
_WRITER = "tests/unit/test_writer_generations.py::"
_COUNTED = "tests/unit/test_counts.py::"
_LIVE = "tests/integration/test_counts.py::"
_SEAL = "tests/integration/seal/"
_TRANSPORT = "tests/unit/test_transport.py::"

_ROOMS, _BATCH, _CHANGES, _AGENTS = "stream/rooms.py", "stream/batch.py", "stream/changes.py", "stream/agents.py"
_COUNTS = "stream/counts.py"


def _insert(name: str) -> str:
    return f'        insist("{name}", lambda: self._writes.{name}(output.{name}))\n'


_TOTALS = '        insist("edge_totals", lambda: self._writes.edge_totals(output.edge_counts))\n'

GUARDS = (
    # -- time, waiting, duplicates (Delivery 1 to 3) -------------------------------------------------------------------
    Guard("2", "what falls due by a record's time is folded before the record", _BATCH,
          "rooms.pass_time(record.timestamp, changes)", "rooms.time = record.timestamp", _WHATEVER),
    Guard("3", "a known seq with other content is a conflict", _ROOMS,
          "if known.event != entry.event:", "if False:", _WHATEVER),
    Guard("3", "a room's events come by one topic", _ROOMS,
          "if held.elsewhere is not None:", "if False:",
          f"{_GUARDS}test_a_room_goes_on_by_the_topic_that_it_began_by"),
    Guard("3, 7", "of two copies of a seq the one with the lowest offset stands", _ROOMS,
          "key=_offset, reverse=True)", "key=_offset)",
          f"{_GUARDS}test_of_two_copies_that_are_read_back_the_one_with_the_lower_offset_stands"),
    # -- differences and versions (Delivery 4, 5) ----------------------------------------------------------------------
    Guard("4", "a tombstone for each row of `moves` that was and is not", _CHANGES,
          "            if row_key not in new:\n", "            if False:\n", _WHATEVER),
    Guard("4", "a tombstone for a timeout that was and is not", _CHANGES,
          "if before is not None and before != now:", "if False:", _WHATEVER),
    Guard("4", "and for one that is of another edge now, though of the same key", _CHANGES,
          "before != now:", "(now is None or self._row_key(before) != self._row_key(now)):",
          f"{_LIVE}test_a_timeout_that_an_event_takes_back_or_changes"),
    Guard("4", "a tombstone in `rooms` under the former opening day", _CHANGES,
          "if self.calendar.day(before.room.opened_at) != self.calendar.day(after.room.opened_at):", "if False:",
          _PROTOCOL),
    Guard("4", "'before' is folded with now = P, where events are appended", _CHANGES,
          "before = self._timeout(room, time)", "before = None if room is None else room.timeout", _WHATEVER),
    Guard("4", "'before' is folded with now = P, where a late filler comes", _CHANGES,
          "self._timeout(before.room, time), time)", "before.room.timeout, time)", _PROTOCOL),
    Guard("4", "the part-9 rows of 'after' are always written", _CHANGES,
          "        if now is not None:\n", "        if now is not None and now != before:\n", _WHATEVER),
    Guard("4", "a late first event gives all rows its customer", _CHANGES,
          "if not same_customer or ", "if ",
          f"{_GUARDS}test_a_late_first_event_gives_all_rows_of_the_room_its_customer"),
    Guard("5", "versions of rows go by the events folded, not by seq", _CHANGES,
          "row, 2 * count[row.seq], 0)", "row, 2 * row.seq, 0)", _WHATEVER),
    Guard("5", "versions of tombstones go by the events folded, not by seq", _CHANGES,
          "row, 2 * count[row.seq], 1)", "row, 2 * row.seq, 1)", _WHATEVER),
    Guard("5", "a part-9 row is one version above its tombstone", _CHANGES,
          "2 * room.folded + 1, 0)", "2 * room.folded, 0)",
          f"{_GUARDS}test_a_timeout_that_stands_again_outlasts_the_taking_back_of_the_one_before"),
    Guard("5", "a room closed by timeout is one version above the open one", _BATCH,
          '2 * room.folded + (room.closed_by == "timeout")', "2 * room.folded", _SILENCE),
    Guard("5", "a room's row is as of its last change, not of the batch's end", _BATCH,
          "room = as_of(room, at, rooms.idle)", "room = as_of(room, rooms.time, rooms.idle)", _SILENCE),
    # -- the order of a batch (Delivery 6) -----------------------------------------------------------------------------
    Guard("6", "turns before moves", _BATCH, _insert("turns"), _insert("moves") + _insert("turns"),
          f"{_GUARDS}test_whoever_finds_a_row_finds_what_it_came_from"),
    Guard("6", "turns before rooms", _BATCH, _insert("turns"), _insert("rooms") + _insert("turns"), _PROTOCOL),
    Guard("6", "moves before rooms", _BATCH, _insert("moves"), _insert("rooms") + _insert("moves"),
          f"{_GUARDS}test_whoever_finds_a_row_finds_what_it_came_from"),
    Guard("6", "timeouts are counted before `rooms` has them", _BATCH,
          _insert("timeouts"), _insert("rooms") + _insert("timeouts"),
          f"{_LIVE}test_clickhouse_dies_between_a_timeout_and_its_count"),
    Guard("6", "of two counts of timeouts the later one stands", "sql/sink.py",
          "countIf(is_deleted = 0), sum(version)", "countIf(is_deleted = 0), 1",
          f"{_LIVE}test_a_count_of_timeouts_that_comes_late_changes_nothing"),
    Guard("6", "of two totals of an edge the later one stands", "sql/sink.py",
          "sum(moves), sum(upto + 1)", "sum(moves), max(upto + 1)",
          f"{_LIVE}test_a_total_that_comes_late_changes_nothing"),
    Guard("6", "offsets begin at 0, and what the first record made counts", "sql/sink.py",
          "sum(upto + 1)", "sum(upto)", f"{_LIVE}test_a_total_that_comes_late_changes_nothing"),
    Guard("6", "a total is of the newest row of each partition", "sql/sink.py",
          "FROM edge_counts FINAL", "FROM edge_counts", f"{_LIVE}test_a_total_is_of_all_partitions_and_topics"),
    Guard("6", "an edge is counted where another's newer row took the place of ours", "sql/sink.py",
          "AND upto >= transform(", "AND upto = transform(",
          f"{_LIVE}test_a_row_that_anothers_newer_one_replaced_is_counted"),
    Guard("6", "totals are counted after `edge_counts`", _BATCH,
          _insert("edge_counts") + _TOTALS, _TOTALS + _insert("edge_counts"),
          f"{_LIVE}test_live_counts_are_the_moves_that_stand"),
    Guard("6", "progress last", _BATCH, _insert("rooms"), _insert("progress") + _insert("rooms"),
          f"{_GUARDS}test_whoever_finds_a_row_finds_what_it_came_from"),
    Guard("6", "a batch counts as written after its last insert", _BATCH,
          _insert("turns"), "        prepared.written.set()\n" + _insert("turns"),
          f"{_GUARDS}test_a_batch_counts_as_written_after_its_last_insert"),
    Guard("6", "what Faust acks because it skipped it is not committed", "stream/transport.py",
          " and polls[0].tracked", "", f"{_TRANSPORT}test_what_faust_acks_because_it_skipped_it_is_not_committed"),
    Guard("6", "polls are committed in the order of offsets, none left out", "stream/transport.py",
          "while polls and polls[0].acked and polls[0].tracked:", "while polls and (polls[0].acked or len(polls) > 1):",
          f"{_TRANSPORT}test_only_the_longest_acked_run_is_committed"),
    # -- the incremental counts (Delivery 6, CLICKHOUSE.md) ------------------------------------------------------------
    Guard("6", "what an edge's total has is not counted again", _COUNTS, " * (offset > total[1])", "",
          f"{_COUNTED}test_crashes_replays_and_zombies_count_once"),
    Guard("6", "an edge whose changes add up to nothing is written", _COUNTS,
          "in totals.items()]", "in totals.items() if total[0]]",
          f"{_COUNTED}test_an_edge_whose_changes_add_up_to_nothing_is_written"),
    Guard("6", "an edge whose changes are in its total already is written once more", _COUNTS,
          "            touched.setdefault(", "            if offset > total[1]:\n                touched.setdefault(",
          f"{_COUNTED}test_what_was_counted_before_is_written_once_more"),
    Guard("6", "and what it counts up to does not go back", _COUNTS, "max(total[1], last)", "last",
          f"{_COUNTED}test_what_was_counted_before_is_written_once_more"),
    Guard("4, 6", "a row that differs leaves one edge and joins another", _CHANGES,
          "        if old != new:\n", "        if old is None or new is None:\n", _WHATEVER),
    Guard("6, 7", "the batch before is written before edges are read back that had left the memory", _BATCH,
          "                self._await_batch(self._latest)\n            counts.",
          "                pass\n            counts.",
          _PROTOCOL),
    Guard("6, 7", "a day of which edges have left the memory is not whole", _COUNTS,
          "day.whole = day.whole and not leaving", "pass", f"{_COUNTED}test_crashes_replays_and_zombies_count_once"),
    Guard("6, 7", "a day that was not read back to its end is not whole", _COUNTS,
          "len(day_read.totals) < self.most_of_a_day", "True",
          f"{_COUNTED}test_of_a_day_with_very_many_edges_those_are_read_back_that_are_touched"),
    Guard("6, 8", "an assignment begins with empty counts", _BATCH, "        self._counts.forget()\n", "",
          f"{_DELIVERY}test_counts_of_an_assignment_before_are_not_counted_on"),
    # -- reading back (Delivery 7) -------------------------------------------------------------------------------------
    Guard("7", "only what lies below the batch's first offset is taken in", _BATCH,
          " and item.entry.offset < below", "", _WHATEVER),
    Guard("7", "only what came by this topic is taken in", _BATCH, "item.topic == place[0] and ", "",
          f"{_GUARDS}test_what_another_topic_brought_of_a_room_is_not_taken_in"),
    Guard("7", "any room not in memory is looked up, also at seq 1", _ROOMS,
          "                    asked[key] = seq\n                    before = 0",
          "                    before = 0\n                    if seq > 1:\n                        asked[key] = seq\n"
          "                    else:\n                        self.held[key] = Held()", _WHATEVER),
    Guard("7", "a seq at or below one that came may be known: it is looked up", _ROOMS,
          "if seq <= before:", "if False:", _WHATEVER),
    Guard("7", "what waits may be folded before a lower seq comes", _ROOMS, "if first <= held.latest:",
          "if first <= held.greatest:", f"{_GUARDS}test_what_waits_may_be_folded_before_a_lower_seq_comes"),
    Guard("7", "what waits has come, too", _ROOMS,
          "before = held.latest", "before = held.greatest", _WHATEVER),
    Guard("7", "the batch before is written before its rooms are read back", _BATCH,
          "        self._await_written(keys)\n", "", _WHATEVER),
    Guard("7, 9", "and before silent rooms are looked for", _BATCH,
          "self._await_written(self._latest.rooms)", "pass",
          f"{_GUARDS}test_a_look_for_silent_rooms_sees_what_the_batch_before_wrote"),
    Guard("7, 9", "and before a silent room is read back", _BATCH, "        self._await_written(gone)", "        pass",
          f"{_GUARDS}test_a_room_whose_last_event_is_on_its_way_is_not_closed_by_what_was_read_of_it_before"),
    # -- commit, assignments, memory (Delivery 8) ----------------------------------------------------------------------
    Guard("8", "commit no further than the first event that still waits", _ROOMS,
          "(waiting is None or self._ends[1] <= waiting)", "True",
          f"{_DELIVERY}test_nothing_is_committed_past_an_event_that_waits"),
    Guard("8", "commit only where `progress` has the partition's time", _ROOMS,
          "        return self._ends[0]", "        return self.offset if waiting is None else waiting",
          f"{_DELIVERY}test_a_commit_ends_where_progress_has_the_time"),
    Guard("8", "ack no further than that", _AGENTS, "while unacked and unacked[0].message.offset < limit:",
          "while unacked:", f"{_WRITER}test_what_is_written_is_acked_up_to_what_may_be_committed"),
    Guard("8", "an assignment begins with the time of `progress`", _BATCH,
          'self.outages.insist("partition time", partial(self._reads.partition_time, *place, first))', "0", _WHATEVER),
    Guard("8", "a partition read from further back begins anew", _BATCH,
          "if rooms is None or first < rooms.offset:", "if rooms is None:",
          f"{_GUARDS}test_a_partition_that_is_read_from_further_back_begins_there_anew"),
    Guard("8", "an assignment begins with empty memory", _AGENTS, "            self._batches.forget()\n", "",
          _PROTOCOL),
    Guard("8", "polls of an assignment before are dropped", _AGENTS,
          "[event for event in events if event.message.generation_id == generation]", "events",
          f"{_WRITER}test_a_poll_of_the_assignment_before_is_not_taken"),
    Guard("8", "its acks are forgotten", _AGENTS, "            self._unacked.clear()\n", "",
          f"{_WRITER}test_a_poll_that_waited_for_its_ack_is_forgotten"),
    Guard("8", "its batch under way is not acked", _AGENTS,
          "if generation == self._generation == self._app.consumer_generation_id:", "if True:",
          f"{_WRITER}test_a_batch_of_the_assignment_before_is_not_acked"),
    Guard("8", "what waits stays in memory", _ROOMS, "if not held.waiting and key not in spoke)",
          "if key not in spoke)", _WHATEVER),
    Guard("8", "what speaks in a batch stays until the next", _ROOMS, "if not held.waiting and key not in spoke)",
          "if not held.waiting)",
          f"{_GUARDS}test_a_room_that_speaks_in_a_batch_is_not_closed_by_what_was_read_of_it_before"),
    Guard("8", "a room that has ended and waits stays", _ROOMS, "== CLOSED and not held.waiting:", "== CLOSED:",
          _PROTOCOL),
    Guard("8", "a room that ended and speaks again stays", _ROOMS, "self._ended.difference(spoke)", "self._ended",
          _WHATEVER),
    Guard("8", "a room read back to be closed stays where it waits", _ROOMS, "if not self.held[key].waiting:",
          "if True:", f"{_GUARDS}test_a_room_read_back_to_be_closed_stays_where_something_of_it_waits"),
    Guard("8", "no more rooms are held than shall be", _ROOMS, "if surplus > 0:", "if False:",
          f"{_GUARDS}test_no_more_rooms_are_held_than_shall_be"),
    Guard("8", "what was read back leaves with its batch", _ROOMS,
          "            held.known = None\n            self.held[key] = held", "            self.held[key] = held",
          f"{_GUARDS}test_what_a_batch_has_read_back_does_not_stay"),
    # -- what time brings, outages (Delivery 9, 10) --------------------------------------------------------------------
    Guard("9", "a look finds rooms whose rows were on their way", _BATCH, "        self._silence.note(output.rooms)",
          "        pass",
          "tests/unit/test_worker_looks.py::test_a_look_finds_rooms_whose_rows_are_on_their_way"),
    Guard("9", "a tick only where all that the log has is folded", _AGENTS,
          "return end if end and done is not None and done >= end else None", "return end", _PROTOCOL),
    Guard("10", "what a retry can mend is tried again", "stream/outages.py", "except Retry as error:",
          "except ZeroDivisionError as error:",
          "tests/unit/test_outages.py::test_a_step_is_done_again_until_it_is_done"),
    Guard("10", "with longer and longer pauses", "stream/outages.py",
          "pause = min(2 * pause, LONGEST_PAUSE_S)", "pause = FIRST_PAUSE_S",
          "tests/unit/test_outages.py::test_pauses_grow_to_a_limit"),
    Guard("10", "a commit that is not answered is the broker's silence", _AGENTS,
          'return self._batches.outages.lasts("commit") > QUIET_S', "return False",
          "tests/unit/test_writer.py::test_a_commit_that_is_not_answered_is_the_brokers_silence"),
    Guard("10", "who hands over waits while too much is queued", _AGENTS, "while self._queued >= ENOUGH or",
          "while False and", "tests/unit/test_writer.py::test_who_hands_over_waits_while_too_much_is_queued"),
    # -- what is no event; the seal ------------------------------------------------------------------------------------
    Guard("input", "what is too large is a dead letter", "journey/decode.py", "if len(value) > MAX_BYTES:", "if False:",
          "tests/faults/test_fuzz.py::test_the_dead_letters_are_exactly_the_broken_ones"),
    Guard("seal", "it waits until all is consumed", "seal/gate.py", "while missing := await behind(kafka, need):",
          "while missing := dict[tuple[str, int], tuple[int, int]]():",
          f"{_SEAL}test_gate.py::test_past_the_limit_nothing_is_published_and_the_scheduler_tries_again"),
    Guard("seal", "a ClickHouse that was started again meanwhile ends it", "seal/stage.py",
          "        reconnect=reconnect,", "        reconnect=True,",
          f"{_SEAL}test_crashes.py::test_clickhouse_started_again_between_two_statements"),
    Guard("seal", "a day is published by one statement", "seal/replace.py",
          "ALTER TABLE {table} REPLACE PARTITION '{day.isoformat()}' FROM {source}",
          "INSERT INTO {table} SELECT * FROM {source}",
          f"{_SEAL}test_published_whole.py::test_no_answer_is_of_two_revisions"),
    Guard("seal", "of two that publish a day one waits for the other", "seal/replace.py",
          "query_id=statement_id(client, table, day)", "query_id=None",
          f"{_SEAL}test_one_at_a_time.py::test_the_day_is_there_once"),
    Guard("seal", "the endpoint runs one statement of an id at a time", "sql/embedded/running.py",
          "self._ids.add(mine)", "pass",
          f"{_SEAL}test_one_at_a_time.py::test_the_day_is_there_once"),
    Guard("seal", "a bot out of use has no edges", "seal/build.py",
          "WHERE ({_BOT}) NOT IN (SELECT {_BOT} FROM {stage.bots})", "",
          f"{_SEAL}test_histories.py::test_each_seal_is_what_a_count_of_the_log_says"),
    Guard("seal", "a room is one of each of its bots", "seal/build.py",
          "bitShiftLeft(toUInt128({bot}), 64)", "bitShiftLeft(toUInt128({bot}), 64) * 0",
          f"{_SEAL}test_histories.py::test_each_seal_is_what_a_count_of_the_log_says"),
    Guard("seal", "a room that stands may be taken meanwhile", "seal/membership.py",
          "(room IN {stage.standing} OR room IN (SELECT", "(room IN (SELECT",
          f"{_SEAL}test_elsewhere.py::test_two_days_sealed_at_once_do_not_both_have_a_room"),
    Guard("seal", "a room that was folded anew may, too", "seal/membership.py",
          "OR room IN (SELECT room FROM {stage.rooms} WHERE is_aside))", ")",
          f"{_SEAL}test_elsewhere.py::test_two_days_sealed_at_once_do_not_both_have_a_room"),
    Guard("seal", "a room with two rows is not sealed", "seal/membership.py",
          "if rooms == aside + stage.sizes(client)[0]:", "if rooms:",
          f"{_SEAL}test_check.py::test_a_room_with_two_rows_is_noticed"),
    Guard("seal", "rooms that were lost while it was built end it", "seal/check.py", "if there != wanted:", "if False:",
          f"{_SEAL}test_check.py::test_rooms_lost_by_a_stage_are_noticed"),
)  # fmt: skip


def table() -> str:
    """The table of docs/delivery.md."""
    lines = ["| rule | guard | fails without it |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {guard.rule} | {guard.name} | `{guard.test}` |" for guard in GUARDS)])


def copied(folder: Path) -> Path:
    """The tree as it stands, in a folder of its own; so that what is taken out there is missed nowhere else."""
    copy = folder / "turnpath"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=_LEFT_OUT)
    return copy


def fails(copy: Path, *tests: str) -> str:
    """The last words of pytest where a test fails, or does not end; empty where all pass."""
    options = ["-x", "-n", "0", "-m", "", "-p", "no:cacheprovider", "--tb=line"]  # the long ones, too
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"no end after {_LIMIT_S} s"
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


def try_guard(copy: Path, guard: Guard) -> bool:
    """Is the guard missed when it is taken out?"""
    file = copy / guard.file
    source = file.read_text()
    try:
        file.write_text(guard.taken_out(source))
        return bool(fails(copy, guard.test))
    finally:
        file.write_text(source)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only guards with one of these words in their names")
    parser.add_argument("--table", action="store_true", help="print the table of docs/delivery.md")
    given = parser.parse_args()
    if given.table:
        print(table())
        return 0
    guards = [guard for guard in GUARDS if not given.words or any(word in guard.name for word in given.words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        if words := fails(copy, *sorted({guard.test for guard in guards})):
            print(f"with all guards in, this fails:\n{words}", file=sys.stderr)
            return 1
        missed = []
        for guard in guards:
            missed.append(try_guard(copy, guard))
            print("missed    " if missed[-1] else "NOT MISSED", guard.file, guard.name, flush=True)
    print(f"{sum(missed)} of {len(missed)} guards are missed")
    return 0 if all(missed) else 1


if __name__ == "__main__":
    sys.exit(main())
