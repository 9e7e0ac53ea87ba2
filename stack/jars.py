"""What Maven brings (the broker's jars, the chart library), once, into the user's cache folder."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from journey.errors import OutputFailed, Unreachable
from stack.process import launched

POM = Path(__file__).with_name("pom.xml")
_CHART = "/echarts.min.js"


def folder(cache: Path) -> Path:
    """Where the downloads of this pom.xml lie, there or not: another pom.xml has another folder."""
    return cache / f"parts-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def jars(cache: Path) -> Path:
    """The folder of the broker's jars, once `fetch` has run."""
    return folder(cache) / "jars"


def echarts(cache: Path) -> Path:
    """The file echarts.min.js, once `fetch` has run."""
    return folder(cache) / "echarts.min.js"


def fetch(cache: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """`folder(cache)`, filled by Maven unless it is there. Two at once: the second waits and finds it.

    Unreachable: no Maven, or Maven could not fetch; OutputFailed: the folder cannot be written.
    """
    there = folder(cache)
    if there.exists():
        return there
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not there.exists():
                say("fetching the Kafka broker's jars and the chart library with Maven (once, 60 MB)")
                _fill(there)
    except OSError as error:
        raise OutputFailed(f"{cache} cannot be written ({error.strerror}): set TURNPATH_CACHE") from error
    return there


def _fill(there: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise Unreachable(
            f"the Kafka broker's jars are not in {there} and Maven, which fetches them, is not installed: "
            "run `make setup`, or as root `apt-get install maven`, and start again"
        )
    for left in there.parent.glob("fetching-*"):  # of a fetch that was killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix="fetching-", dir=there.parent))
    try:
        _copy_dependencies(maven, aside / "jars")
        _unpack_chart(aside / "jars", aside)
        os.replace(aside, there)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy_dependencies(maven: str, target: Path) -> None:
    """Let Maven fetch what pom.xml names, checksums checked, into `target`."""
    command = [maven, "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies"]
    done = subprocess.run(
        launched([*command, f"-DoutputDirectory={target}"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Unreachable(
            "Maven could not fetch the Kafka broker's jars; see that this machine reaches Maven's repository, "
            f"then start again. It said:\n{done.stdout[-2000:]}"
        )


def _unpack_chart(jars: Path, aside: Path) -> None:
    """echarts.min.js out of its jar, which the broker need not load."""
    jar = next(jars.glob("echarts-*.jar"))
    with zipfile.ZipFile(jar) as packed:
        name = next(n for n in packed.namelist() if n.endswith(_CHART))
        (aside / "echarts.min.js").write_bytes(packed.read(name))
    jar.unlink()


def main(arguments: list[str]) -> None:
    """No arguments: `fetch` (make setup). `--chart JARS CACHE`: only unpack the chart library (the image)."""
    if arguments[:1] == ["--chart"]:
        cache = Path(arguments[2])
        folder(cache).mkdir(parents=True)
        _unpack_chart(Path(arguments[1]), folder(cache))
    else:
        from settings import load  # an entry of its own; everything else is handed its settings

        fetch(load().cache, lambda text: print(text, file=sys.stderr))


if __name__ == "__main__":
    main(sys.argv[1:])
