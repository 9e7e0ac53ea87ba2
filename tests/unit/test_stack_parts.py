"""Settings reach the children as they are; addresses, ports, downloads and the data folder are looked at before use."""

import http.server
import os
import re
import socket
import threading
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from journey.errors import BadSetting, Busy, OutputFailed, Unreachable
from scripts.settings_page import PAGE, page
from settings import Settings, load
from stack import health, jars, kafka, ports, redis
from stack.checkup import checkup
from stack.local import folder, only_one
from stack.parts import environment
from stack.ports import free_port, is_free, split

_ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_settings_is_made_from_them() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_defaults_on_the_page_read_back_as_the_defaults() -> None:
    shown = re.findall(r"^\| `TURNPATH_(\w+)` \| `([^`]+)` \|", page(), re.MULTILINE)
    assert len(shown) > 10
    for name, value in shown:
        assert getattr(load({f"TURNPATH_{name}": value}), name.lower()) == Settings.model_fields[name.lower()].default


def test_a_child_reads_the_same_settings() -> None:
    given = Settings(
        data=Path("/somewhere/data"),
        cache=Path("/somewhere/cache"),
        redis="redis://:p%40ss@127.0.0.1:6380/3",
        seal_at=time(3, 5),
        seal_wait=timedelta(milliseconds=1500),
        first_day=date(2024, 2, 29),
        reader_password="a b'c",
    )
    assert load(environment(given)) == given


def test_a_child_gets_absolute_folders() -> None:
    made = environment(Settings(data=Path("here")))
    assert made["TURNPATH_DATA"] == str(Path.cwd() / "here")


def test_addresses_are_taken_apart() -> None:
    assert split("localhost:9092") == ("localhost", 9092)
    assert split("[::1]:9092") == ("::1", 9092)


def test_a_port_where_someone_listens_is_not_free() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert is_free(address)
    with socket.create_server(split(address)):
        assert not is_free(address)
    assert is_free(address)


def test_a_port_is_given_once_while_its_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a name that the whole machine shares: two who look for a port in the same second get two."""

    given = free_port()

    class Same:
        def __init__(self) -> None:
            self.next = given - 1

        def randrange(self, *_: int) -> int:
            self.next += 1
            return self.next

    monkeypatch.setattr(ports, "_random", Same())
    assert free_port() != given


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(BadSetting, match="not an address of this machine"):
        is_free("192.0.2.1:9092")


def test_nobody_there_answers_nothing() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert not health.kafka(address)
    assert not health.redis(f"redis://{address}/0")
    assert not health.clickhouse(f"clickhouse://{address}/turnpath")
    assert not health.http_page(address)
    assert health.group_members(address, "turnpath") == 0


def test_a_stranger_at_the_address_is_not_taken_for_the_part() -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        assert not health.kafka(address)
        assert not health.redis(f"redis://{address}/0")
        assert not health.clickhouse(f"clickhouse://{address}/turnpath")
        assert not health.http_page(address)
        server.shutdown()


def test_the_doctor_names_what_is_unreachable_and_what_to_do(tmp_path: Path) -> None:
    nobody = [f"127.0.0.1:{free_port()}" for _ in range(4)]
    settings = Settings(
        kafka=nobody[0],
        redis=f"redis://{nobody[1]}/0",
        clickhouse=f"clickhouse://{nobody[2]}/turnpath",
        http=nobody[3],
        data=tmp_path / "not" / "made" / "yet",
        cache=tmp_path,
    )
    found = {finding.part: finding for finding in checkup(settings)}
    down = {part for part, finding in found.items() if finding.state == "unreachable"}
    assert down == {"kafka", "redis", "clickhouse", "web"}
    for part, address in zip(("kafka", "redis", "clickhouse", "web"), nobody, strict=True):
        assert address in found[part].seen
        assert "turnpath up" in found[part].todo
    assert found["jars"].state == "warning"
    assert found["disk"].seen.endswith(str(tmp_path / "not" / "made" / "yet"))


def test_one_stack_a_data_folder(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(Busy, match=f"process {os.getpid()}"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_a_data_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(OutputFailed, match="set TURNPATH_DATA"):
        folder(tmp_path / "data")


def test_too_little_room_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.local._LEAST_FREE", 10**18)
    with pytest.raises(OutputFailed, match="MB are free"):
        folder(tmp_path)


def test_no_maven_and_no_jars_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="apt-get install maven"):
        jars.fetch(tmp_path / "cache")


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_maven_that_fails_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "mvn", "echo no network; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Unreachable, match=r"(?s)Maven could not fetch.*no network"):
        jars.fetch(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_no_java_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="openjdk-17-jre-headless"):
        kafka.find_java()


def test_an_old_java_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Unreachable, match=r"needs Java 17 or later.*11\.0\.2"):
        kafka.find_java()


def test_no_redis_server_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="redis-server"):
        redis.find_server()
