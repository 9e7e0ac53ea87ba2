#!/usr/bin/env bash
# Try this tree on a fresh machine: Debian 12 with git, make and Python 3.11 and nothing else, in a folder.
#
#   deploy/fresh-machine.sh FOLDER [COMMAND…]        COMMAND by default: make setup
#
# As root, with debootstrap installed. FOLDER is made at the first call and used again afterwards; the tree is laid
# anew at each, at /root/turnpath, and what setup made there (.venv, data) stays. The COMMAND runs in a pid and mount
# namespace of its own: whatever it starts ends with it. Network, and the certificates and settings by which this
# machine's pip, Maven and apt reach their registries, are this machine's.
set -euo pipefail

folder=$(realpath -m "${1:?usage: deploy/fresh-machine.sh FOLDER [COMMAND…]}")
shift
[ $# -gt 0 ] || set -- make setup
tree=$(cd "$(dirname "$0")/.." && pwd)

mirror() {
    awk '$1 == "URIs:" { print $2; exit } $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2> /dev/null
}

if [ ! -e "$folder/fresh" ]; then
    debootstrap --variant=minbase --include=git,make,python3 bookworm "$folder" "$(mirror)"
    mkdir -p "$folder/usr/local/share/ca-certificates" "$folder/etc/ssl/certs"
    cp -a /usr/local/share/ca-certificates/. "$folder/usr/local/share/ca-certificates/"
    cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
    cp -L /etc/pip.conf "$folder/etc/" 2> /dev/null || true
    touch "$folder/fresh"
fi
cp -L /etc/resolv.conf /etc/hosts "$folder/etc/"

mkdir -p "$folder/root/turnpath"
(cd "$tree" && git ls-files -z --cached --others --exclude-standard --deduplicate \
    | while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done \
    | tar --null -T - -cf -) | tar -xf - -C "$folder/root/turnpath"

mapfile -t certificates < <(env | grep -E '^(PIP_|SSL_CERT|REQUESTS_CA|CURL_CA|GIT_SSL)' | grep -v FIND_LINKS || true)
exec unshare --mount --pid --fork --kill-child bash -c '
    mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/run"
    exec chroot "$0" "$@"' "$folder" \
    env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${certificates[@]}" \
    sh -c 'cd /root/turnpath && exec "$@"' sh "$@"
