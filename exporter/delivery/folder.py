"""Into a folder of this machine: under its own name a file is there whole or not at all."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from exporter.atomic import replacing

#: No file is being written for so long; seconds.
_LEFT_S = 86_400


def put(folder: Path, file: Path) -> None:
    """Copy `file` into `folder`, in place of one of that name; OutputFailed where the system refuses.

    What a try of another day that was killed left in the folder is taken away.
    """
    for left in folder.glob(".turnpath_*.part"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _LEFT_S:
                left.unlink()
    with replacing(folder / file.name) as target, file.open("rb") as source:
        shutil.copyfileobj(source, target)
