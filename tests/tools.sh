#!/usr/bin/env bash
# Installs tools of tests that are not on PyPI or npm, by apt-get and as root. Does nothing if all are installed.
#   tests/tools.sh [PYTHON]      PYTHON is the interpreter whose C headers are needed (default: python3)
set -euo pipefail

missing=()
needs() { # PROGRAM PACKAGE...
  command -v "$1" > /dev/null || missing+=("${@:2}")
}
needs node nodejs
needs npm npm
needs javac default-jdk-headless # a JDK: tests start Java from its source
needs chromium chromium
needs cc gcc libc6-dev
needs openssl openssl
needs zsh zsh # completion of kubectl-wsedge, in each of its shells
needs fish fish
needs buildah buildah # the image without Docker, on a base made by debootstrap
needs debootstrap debootstrap
PATH=$PATH:/usr/sbin needs haproxy haproxy
PATH=$PATH:/usr/sbin needs nginx nginx-light
test -e /usr/lib/nginx/modules/ngx_stream_module.so || missing+=(libnginx-mod-stream)
test -e /usr/include/openssl/ssl.h || missing+=(libssl-dev) # the load of tests/bench
# without it Debian's Python cannot create virtual environments
"${1:-python3}" -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
headers=$("${1:-python3}" -c 'import sysconfig; print(sysconfig.get_path("include"))')
test -e "$headers/Python.h" || missing+=(python3-dev)

if ((${#missing[@]})); then
  echo "tests/tools.sh: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  if ! test -e "$policy"; then # no service starts: nginx would take port 80 of every address
    trap 'rm -f "$policy"' EXIT
    install -m 755 /dev/stdin "$policy" <<< $'#!/bin/sh\nexit 101'
  fi
  options=(--quiet --yes -o DPkg::Lock::Timeout=600)
  apt-get "${options[@]}" update > /dev/null
  apt-get "${options[@]}" install --no-install-recommends "${missing[@]}" > /dev/null
fi
