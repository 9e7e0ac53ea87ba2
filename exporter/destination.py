"""Where an export goes: a folder, a URL of any file system that fsspec knows, or people by mail."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine. It must be there: a missing one may be a disk that is not mounted."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Url:
    """A folder of an fsspec file system; `options` are handed to it. As text without user and password."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class Mail:
    """People, by their addresses; one message to all of them."""

    to: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.to)


Destination = Folder | Url | Mail


def parse(value: Any, base: Path) -> Destination:
    """`to` of a job as a destination; a relative folder is one of `base`. ValueError: what to write instead."""
    if isinstance(value, str) and value.strip():
        if "://" in value:
            return _url(value)
        if "@" in value and "/" not in value:
            return Mail((address(value),))
        return Folder(base / Path(value).expanduser())
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        return Mail(tuple(dict.fromkeys(address(one) for one in value)))
    raise ValueError("write a folder, a URL such as sftp://host/folder, or a list of mail addresses")


def address(value: Any) -> str:
    """A mail address as it is; ValueError where it is none."""
    try:
        if not isinstance(value, str) or not value.isascii() or not re.fullmatch(r"[^\s<>,;:]+@[^\s<>,;:@]+", value):
            raise ValueError
        return Address(addr_spec=value).addr_spec
    except Exception:  # the header parser has many words for it
        raise ValueError(f"{value!r} is no mail address: write it like kim@example.com") from None


def _url(value: str) -> Url:
    protocol = value.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise ValueError(f"no file system is called {protocol!r}: write file, sftp, s3, gs, abfs, smb, ftp …") from None
    except ImportError as error:
        raise ValueError(f"{protocol}:// needs a package that is not installed here: {error}") from None
    return Url(value)
