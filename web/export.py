"""The button 엑셀 내보내기: what the page shows, as a workbook."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.responses import Response, StreamingResponse

from exporter import report
from exporter.report import Asked
from journey.errors import BadUsage
from journey.labels import Lang
from sql.client import Client
from web.database import Database

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_PIECE = 1 << 16
#: Workbooks made at once; more wait in line, so that the page stays quick.
_AT_ONCE = 2


class Export:
    """Makes workbooks with threads and connections of its own."""

    def __init__(self, client: Callable[[], Client], zone: ZoneInfo) -> None:
        self._zone = zone
        self._database = Database(client, threads=_AT_ONCE)

    async def answer(
        self, site: str, bots: tuple[str, ...] | None, first: date | None, last: date | None, lang: Lang
    ) -> Response:
        """The workbook of sealed days, or of today where no days are given; refusals before its first byte."""
        if (first is None) != (last is None):
            raise BadUsage("give both from and to, or neither of them for today")
        asked = Asked.of_today(site, bots, self._zone, lang)
        if first and last:
            asked = Asked(site, bots, first, last, self._zone, lang)
        file, size = await self._database.ask(lambda client: _made(client, asked))
        name = report.file_name(asked)
        plain = name.encode("ascii", "replace").decode().replace("?", "_")
        headers = {
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Length": str(size),
        }
        return StreamingResponse(_pieces(file), media_type=XLSX, headers=headers)

    def close(self) -> None:
        """End the threads; a workbook under way is waited for."""
        self._database.close()


def _made(client: Client, asked: Asked) -> tuple[BinaryIO, int]:
    """The workbook, open, without a name: its room is free again when it is closed, however that comes."""
    with tempfile.TemporaryDirectory(prefix="turnpath-export-") as folder:
        path = Path(folder) / "export.xlsx"
        made = report.export(client, asked, path)
        return path.open("rb"), made.size


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
