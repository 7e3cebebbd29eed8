#!/usr/bin/env bash
# Makes the file tree of an image without a distribution in it: what the programs load, and nothing that runs by itself.
# Usage: docker/root-files.sh DIR PROGRAM...     run in the stage `files` of docker/Dockerfile, and by a test
set -euo pipefail

to=$1
shift

# The programs' libraries and the loader, under the names that they ask for.
ldd "$@" | grep -oE '/[^ :]+' | grep -E '\.so(\.|$)|/ld-' | sort -u | while read -r library; do
  install -D -m 755 "$(readlink -f "$library")" "$to$library"
done
# The authorities that OpenSSL trusts where a setting names none, and its settings.
mkdir -p "$to/etc/ssl/certs" "$to/usr/lib/ssl"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$to/etc/ssl/certs/ca-certificates.crt"
ln -s /etc/ssl/certs "$to/usr/lib/ssl/certs"
ln -s /etc/ssl/certs/ca-certificates.crt "$to/usr/lib/ssl/cert.pem"
# One user; names of hosts come from the engine's files, then from DNS.
echo 'orders:x:10001:10001::/app:/nonexistent' >"$to/etc/passwd"
echo 'orders:x:10001:' >"$to/etc/group"
echo 'hosts: files dns' >"$to/etc/nsswitch.conf"
mkdir -p "$to/app" "$to/usr/local/bin" "$to/data"
chown 10001:10001 "$to/data"
