"""How bodies are packed on HTTP: by the codings of HTTP, and by ClickHouse's own frames (`compress`, `decompress`)."""

import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import cramjam
import lz4.frame  # type: ignore[import-untyped]

from sql.embedded.errors import NOT_IMPLEMENTED, Malformed, Refused
from sql.embedded.wire import FrameSource, Source, compressed

#: Small pieces are gathered to so many bytes before they are packed.
_GATHERED = 1 << 16
#: And so many are unpacked at a time: a small body may unpack to gigabytes.
_UNPACKED = 1 << 20


class Packer(Protocol):
    """Packs a body piece by piece; what it gives so far can be unpacked."""

    def pack(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Plain:
    """As it is."""

    def pack(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class Frames:
    """ClickHouse's own LZ4 frames."""

    def __init__(self) -> None:
        self._held = b""

    def pack(self, data: bytes) -> bytes:
        self._held += data
        return self.end() if len(self._held) >= _GATHERED else b""

    def end(self) -> bytes:
        held, self._held = self._held, b""
        return compressed(held)


class Coded:
    """One of HTTP's content codings."""

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def pack(self, data: bytes) -> bytes:
        self._compressor.compress(data)
        return bytes(self._compressor.flush())

    def end(self) -> bytes:
        return bytes(self._compressor.finish())


_CODERS: dict[str, Callable[[], Any]] = {
    "zstd": cramjam.zstd.Compressor,
    "lz4": cramjam.lz4.Compressor,
    "gzip": cramjam.gzip.Compressor,
}


def packer(accepted: str, frames: bool) -> tuple[Packer, str]:
    """How to pack a response for a client that accepts these codings, and the coding's name (empty: none of HTTP's)."""
    if frames:
        return Frames(), ""
    offered = {
        name.strip().lower()
        for name, _, weight in (each.partition(";") for each in accepted.split(","))
        if weight.strip() != "q=0"
    }
    found = next((name for name in _CODERS if name in offered), "")
    return (Coded(_CODERS[found]()), found) if found else (Plain(), "")


def unpacked(pieces: Iterable[bytes], coding: str, frames: bool, most: int = sys.maxsize) -> Iterator[bytes]:
    """A request's body as it was before it was packed, piece by piece.

    Refused (48): an unknown coding; Malformed: it is broken, or what cannot be unpacked in pieces has more bytes than
    `most`.
    """
    if coding not in (*_DECODERS, "zstd"):
        raise Refused(NOT_IMPLEMENTED, f"Unknown content encoding '{coding}': use lz4, gzip or zstd. (NOT_IMPLEMENTED)")
    plain = _from_zstd(pieces, most) if coding == "zstd" else _DECODERS[coding](pieces)
    return _from_frames(plain, most) if frames else plain


class _Inflate:
    """zlib's decoder with the ways of the others: it holds what it was given and has not unpacked."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self.needs_input = True

    def decompress(self, data: bytes, most: int) -> bytes:
        plain = self._zlib.decompress(self._zlib.unconsumed_tail + data, most)
        self.needs_input = len(plain) < most
        return plain

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


def _from_gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _decoded(pieces, _Inflate, zlib.error)


def _from_lz4(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _decoded(pieces, lz4.frame.LZ4FrameDecompressor, RuntimeError)


def _decoded(pieces: Iterable[bytes], make: Callable[[], Any], error: type[Exception]) -> Iterator[bytes]:
    """Decode by objects that stop at a member's end; another member may follow."""
    decoder, begun = make(), False
    try:
        for piece in pieces:
            left, more = piece, bool(piece)
            while more:
                yield decoder.decompress(left, _UNPACKED)
                begun, left, more = not decoder.eof, b"", not decoder.needs_input
                if decoder.eof:
                    left, decoder = decoder.unused_data or b"", make()
                    more = bool(left)
    except error as wrong:
        raise Malformed(f"a body that cannot be unpacked: {wrong}") from wrong
    if begun:
        raise Malformed("a packed body that is cut short")


def _from_zstd(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Unpack at once, since cramjam knows no other way: into memory where it has a bound, else into a file."""
    packed = b"".join(pieces)
    try:
        if most < _UNPACKED:
            plain = bytearray(most + 1)
            yield bytes(plain[: cramjam.zstd.decompress_into(packed, plain)])
            return
        with tempfile.NamedTemporaryFile(prefix="turnpath-body-") as file:
            cramjam.zstd.decompress_into(packed, cramjam.File(file.name))
            while piece := file.read(_UNPACKED):
                yield piece
    except cramjam.DecompressionError as wrong:
        raise Malformed(f"a body that cannot be unpacked: {wrong}") from wrong


_DECODERS: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
    "": iter,
    "identity": iter,
    "gzip": _from_gzip,
    "deflate": _from_gzip,
    "lz4": _from_lz4,
}


class _Pieces(Source):
    """A body's pieces, to be read as a source."""

    def __init__(self, pieces: Iterator[bytes], most: int) -> None:
        super().__init__()
        self._pieces = pieces
        self.most = most

    def fill(self) -> None:
        piece = next((each for each in self._pieces if each), None)
        if piece is None:
            raise Malformed("a compressed frame that is cut short")
        self.data += piece

    def has_more(self) -> bool:
        """Is there another byte?"""
        if self.pos == len(self.data) and (piece := next((each for each in self._pieces if each), None)):
            self.data += piece
        return self.pos < len(self.data)


def _from_frames(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    packed = _Pieces(pieces, most)
    frames = FrameSource(packed)
    while packed.has_more():
        frames.fill()
        yield bytes(frames.data)
        frames.data.clear()
