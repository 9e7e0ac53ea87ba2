"""Into a folder of any file system that fsspec knows.

An object store shows an object once it is whole, so a file is put there under its name. Elsewhere it is put under
another name, and moved: whoever looks sees no half of it.
"""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from exporter.delivery import NotDelivered
from exporter.destination import Url

#: Protocols of object stores.
_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "cos", "r2"}


def put(to: Url, file: Path) -> None:
    """Put `file` below the URL, in place of one of that name. NotDelivered, with the system's word, where it fails."""
    try:
        system, folder = url_to_fs(to.url, use_listings_cache=False, **to.options)
        _put(system, folder.rstrip("/"), file)
    except Exception as error:  # each file system has errors of its own
        said = str(error).strip() or type(error).__name__
        raise NotDelivered(f"{to}: {file.name} could not be written ({said})") from error


def _put(system: Any, folder: str, file: Path) -> None:
    target = f"{folder}/{file.name}"
    if set(_names(system)) & _WHOLE:
        system.put_file(str(file), target)
        return
    system.makedirs(folder, exist_ok=True)
    _clear(system, folder, file.name)
    part = f"{folder}/.{file.name[:200]}.{secrets.token_hex(4)}.part"
    try:
        system.put_file(str(file), part)
        _move(system, part, target)
    except BaseException:
        with suppress(Exception):
            system.rm_file(part)
        raise


def _names(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _clear(system: Any, folder: str, name: str) -> None:
    """Take away what an earlier try that was killed left of it."""
    for path in system.ls(folder, detail=False):
        own = str(path).rstrip("/").rpartition("/")[2]
        if own.startswith(f".{name[:200]}.") and own.endswith(".part"):
            system.rm_file(path)


def _move(system: Any, part: str, target: str) -> None:
    try:
        system.mv(part, target)
    except Exception:
        if not system.exists(target) or not system.exists(part):
            raise
        system.rm_file(target)  # it does not move over a file that is there
        system.mv(part, target)
