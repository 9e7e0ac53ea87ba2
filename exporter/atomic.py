"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from journey.errors import OutputFailed

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISSING = {errno.ENOENT, errno.ENOTDIR}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well, and else leaves nothing.

    It lies in the same folder until then (a rename is atomic only within one file system), and is on disk before
    it gets its name. Raises OutputFailed where the system refuses.
    """
    part = path.with_name(f".{path.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputFailed(_sentence(path, error)) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sentence(path: Path, error: OSError) -> str:
    folder = path.parent
    if error.errno in _FULL:
        return (
            f"no space left for {path} in {folder} or in {tempfile.gettempdir()}, where it is prepared: "
            "free some, or write to another disk"
        )
    if path.is_dir():
        return f"{path} is a folder: give the file a name"
    if error.errno in _FORBIDDEN:
        return f"no rights to write {path}: write to a folder of yours, or ask for rights to {folder}"
    if error.errno in _MISSING:
        return f"the folder {folder} is not there: make it (mkdir -p), or write to another one"
    return f"{path} could not be written: {error.strerror or error}"
