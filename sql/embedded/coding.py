"""How bodies are packed on HTTP: by the codings of HTTP, and by ClickHouse's own frames (`compress`, `decompress`)."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import cramjam
import lz4.frame  # type: ignore[import-untyped]

from sql.embedded.errors import NOT_IMPLEMENTED, Malformed, Refused
from sql.embedded.wire import FrameSource, Source, compressed

#: Small pieces are gathered to so many bytes before they are packed.
_GATHERED = 1 << 16


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


def unpacked(pieces: Iterable[bytes], coding: str, frames: bool) -> Iterator[bytes]:
    """A request's body as it was before it was packed. Refused (48): an unknown coding; Malformed: it is broken."""
    if coding not in _DECODERS:
        raise Refused(NOT_IMPLEMENTED, f"Unknown content encoding '{coding}': use lz4, gzip or zstd. (NOT_IMPLEMENTED)")
    plain = _DECODERS[coding](pieces)
    return _from_frames(plain) if frames else plain


def _from_gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _decoded(pieces, lambda: zlib.decompressobj(32 + zlib.MAX_WBITS), zlib.error)


def _from_lz4(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _decoded(pieces, lz4.frame.LZ4FrameDecompressor, RuntimeError)


def _decoded(pieces: Iterable[bytes], make: Callable[[], Any], error: type[Exception]) -> Iterator[bytes]:
    """Decode by objects that stop at a member's end; another member may follow."""
    decoder, begun = make(), False
    try:
        for piece in pieces:
            left = piece
            while left:
                yield decoder.decompress(left)
                begun, left = not decoder.eof, b""
                if decoder.eof:
                    left, decoder = decoder.unused_data or b"", make()
    except error as wrong:
        raise Malformed(f"a body that cannot be unpacked: {wrong}") from wrong
    if begun:
        raise Malformed("a packed body that is cut short")


def _from_zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield bytes(cramjam.zstd.decompress(b"".join(pieces)))
    except cramjam.DecompressionError as wrong:
        raise Malformed(f"a body that cannot be unpacked: {wrong}") from wrong


_DECODERS: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
    "": iter,
    "identity": iter,
    "gzip": _from_gzip,
    "deflate": _from_gzip,
    "lz4": _from_lz4,
    "zstd": _from_zstd,
}


class _Pieces(Source):
    """A body's pieces, to be read as a source."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

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


def _from_frames(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packed = _Pieces(pieces)
    frames = FrameSource(packed)
    while packed.has_more():
        frames.fill()
        yield bytes(frames.data)
        frames.data.clear()
