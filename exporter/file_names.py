"""Names of files that any system takes, made of what sites and bots are called."""

import hashlib
import re
import unicodedata

# what Windows, shells or a path do not take; white space, so that a name stays one word
_UNSAFE = re.compile(r'[\x00-\x20\x7f-\x9f<>:"/\\|?*\u2028\u2029\s]+')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)$")
_UNSEEN = {"Cf", "Cs", "Cn", "Co"}
_LONGEST = 70  # bytes of one part, so that a name of some parts stays below 255
_WHOLE = 240


def safe(name: str) -> str:
    """`name` as a part of a file's name: letters of any script stay, at most 70 bytes.

    Where something had to go, a few characters of a checksum follow: two names never become one.
    """
    plain = unicodedata.normalize("NFC", "".join(c for c in name if unicodedata.category(c) not in _UNSEEN))
    made = _cut(_UNSAFE.sub("-", plain).strip("-. "), _LONGEST)
    if made == name and not _RESERVED.match(made):
        return made
    return f"{made}~{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:6]}"


def safe_file(name: str) -> str:
    """A whole name with its ending, from a template already filled with safe parts."""
    stem, dot, ending = name.rpartition(".")
    made = _UNSAFE.sub("-", stem).strip("-. ") or "turnpath"
    made = f"_{made}" if _RESERVED.match(made) else made
    return _cut(made, _WHOLE) + dot + ending


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore")
