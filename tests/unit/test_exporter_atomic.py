import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.atomic import replacing
from journey.errors import OutputFailed


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def test_the_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.xlsx"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.xlsx"]


def test_a_new_file_has_the_rights_that_the_user_gives_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.xlsx") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.xlsx").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputFailed, match=r"folder .*nowhere is not there: make it"),
        replacing(tmp_path / "nowhere" / "a.xlsx"),
    ):
        pass


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="is a folder: give the file a name"), replacing(tmp_path) as file:
        file.write(b"x")


@pytest.mark.parametrize(
    "number, words",
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "no rights to write"), (errno.EIO, "could not be written")],
)
def test_what_the_system_refuses_is_said(number: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match=words), replacing(tmp_path / "a.xlsx"):
        raise OSError(number, os.strerror(number))
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_really(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputFailed, match="no space left"),
        replacing(tmp_path / "a.xlsx"),
        open("/dev/full", "wb") as full,
    ):
        full.write(b"x" * 100_000)


def test_an_existing_file_keeps_its_rights_and_a_link_leads_where_it_led(tmp_path: Path) -> None:
    real, link = tmp_path / "real.xlsx", tmp_path / "link.xlsx"
    real.write_bytes(b"old")
    real.chmod(0o604)
    link.symlink_to(real)
    with replacing(link) as file:
        file.write(b"new")
    assert (link.is_symlink(), real.read_bytes(), real.stat().st_mode & 0o777) == (True, b"new", 0o604)


_KILLED = """
import os, sys
from pathlib import Path
from exporter.atomic import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", _KILLED, str(path)], cwd=Path(__file__).parents[2])
    assert run.returncode == -9
    assert (names(tmp_path), path.read_bytes()) == (["a.xlsx"], b"old")


def test_where_every_file_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    with replacing(tmp_path / "a.xlsx") as file:
        file.write(b"x")
        file.flush()
        assert len(names(tmp_path)) == 1
        assert names(tmp_path)[0].endswith(".part")
    assert names(tmp_path) == ["a.xlsx"]
    with pytest.raises(TypeError), replacing(tmp_path / "a.xlsx"):
        raise TypeError
    assert names(tmp_path) == ["a.xlsx"]
