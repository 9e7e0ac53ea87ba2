"""A Kafka broker and its controller in one Java process (KRaft), for one machine."""

import base64
import re
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from journey.errors import Crash, Unreachable
from stack.jars import jars
from stack.ports import free_port
from stack.process import launched

_LOGGING = Path(__file__).with_name("log4j2.properties")
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=BROKER://{address},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# A stack that was off for long must go on where it stopped (ten years; a week is usual).
offsets.retention.minutes=5256000
# One machine: one copy.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A record over 64 KiB shall arrive and become a dead letter, not fail at its producer.
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
log.cleaner.dedupe.buffer.size=16777216
"""


def command(address: str, data: Path, cache: Path, options: Sequence[str] = ("-Xmx512m",)) -> list[str]:
    """The broker's command line, listening at `address` with its logs in `data`/kafka.

    Writes its properties and formats the folder, where that is not done. The jars must be there (jars.fetch).
    `options` are the Java machine's. Unreachable: no Java, or one before 17.
    """
    java = [find_java(), *options, "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={_LOGGING}"]
    java += ["-cp", str(jars(cache) / "*")]
    logs = (data / "kafka").resolve()
    logs.mkdir(parents=True, exist_ok=True)
    properties = data.resolve() / "kafka.properties"
    properties.write_text(_PROPERTIES.format(address=address, controller=free_port(), logs=logs))
    if not (logs / "meta.properties").exists():
        _format(java, properties)
    return [*java, "kafka.Kafka", str(properties)]


def find_java() -> str:
    """The path of a Java machine of version 17 or later."""
    java = shutil.which("java")
    if not java:
        raise Unreachable(
            "Java, which the Kafka broker runs on, is not installed: run `make setup`, "
            "or as root `apt-get install openjdk-17-jre-headless`, and start again"
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < 17:
        raise Unreachable(
            f"the Kafka broker needs Java 17 or later, and {java} is {said.splitlines()[0] if said else 'none'}: "
            "install openjdk-17-jre-headless and put it first on the PATH"
        )
    return java


def _format(java: Sequence[str], properties: Path) -> None:
    """Give the folder its cluster id; done once, a broker refuses a folder without one."""
    light = [java[0], "-XX:TieredStopAtLevel=1", *java[1:]]
    command = [*light, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)]
    done = subprocess.run(launched(command), capture_output=True, text=True)
    if done.returncode:
        raise Crash(f"Kafka could not prepare its folder; it said:\n{(done.stdout + done.stderr)[-2000:]}")


def _cluster_id() -> str:
    """A random id in Kafka's form; a leading - would read as an option."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not made.startswith("-"):
            return made
