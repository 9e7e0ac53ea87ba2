"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import stat
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

    It lies in the same folder until then (a rename is atomic only within one file system), where the system can do
    that without a name, so that not even a killed process leaves it; and is on disk before it gets its name. A file
    that is there keeps its rights, a link leads where it led. Raises OutputFailed where the system refuses.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name[:60]}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        try:
            with _opened(part) as file:
                yield file
                file.flush()
                _keep_rights(target, file.fileno())
                os.fsync(file.fileno())
                if not part.exists():
                    # with a folder's handle Python calls linkat, which follows /proc's link to the file itself
                    os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=file.fileno())
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise OutputFailed(_sentence(path, error)) from error


def _opened(part: Path) -> BinaryIO:
    """A file without a name in the folder of `part`, or `part` itself where the file system knows no such thing."""
    flag = getattr(os, "O_TMPFILE", 0)
    if flag and Path("/proc/self/fd").is_dir():
        try:
            return os.fdopen(os.open(part.parent, flag | os.O_RDWR, 0o666), "w+b")
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    return part.open("x+b")


def _keep_rights(target: Path, file: int) -> None:
    """Give the new file the rights and, where we may, the owner of the one that it replaces."""
    if target.is_file():
        old = target.stat()
        with contextlib.suppress(PermissionError):
            os.fchown(file, old.st_uid, old.st_gid)
        os.fchmod(file, stat.S_IMODE(old.st_mode))


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
