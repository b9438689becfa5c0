#!/bin/sh
# Installs the foreign programs that the tests run: s3s-fs by cargo, the others where apt-get exists and they are
# missing. Tests whose program is still missing afterwards fail and say so (see tests/tests/clients).
set -eu

packages=""
need() { # need PROGRAM PACKAGES
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; then
        packages="$packages $2"
    fi
}

need litmus litmus
need rclone rclone
need mount.davfs davfs2
need cadaver cadaver
need curl curl
need unzip unzip
need python3 python3
need fusermount3 fuse3
need gio "libglib2.0-bin gvfs-backends gvfs-daemons"
need dbus-run-session dbus
need kioclient kde-cli-tools
need gcc gcc
need node nodejs
need npm npm
need chromium chromium
need pdftoppm poppler-utils
need ffmpeg ffmpeg
need nextcloudcmd nextcloud-desktop-cmd
need owncloudcmd owncloud-client-cmd
/usr/bin/python3 -c "import aiosmtpd" >/dev/null 2>&1 || packages="$packages python3-aiosmtpd"
# Debian keeps the programs of each PostgreSQL in a folder of its own.
set -- /usr/lib/postgresql/*/bin/initdb
[ -x "$1" ] || packages="$packages postgresql"

# The S3 store of the tests speaks real HTTP, needs cargo alone, and takes writes quickly. It lies outside target/, so
# that a clean build need not build it again.
programs="${XDG_CACHE_HOME:-$HOME/.cache}/nuage-tests"
if [ ! -x "$programs/bin/s3s-fs" ]; then
    echo "tests: installing s3s-fs"
    "${CARGO:-cargo}" install s3s-fs --features binary --version 0.14.1 --locked --quiet --root "$programs"
fi

[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "tests: please install:$packages" >&2
    exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "tests: as root, please run: apt-get install$packages" >&2
        exit 0
    fi
    as_root="sudo"
fi
echo "tests: installing$packages"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # one word for each package
$as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
