#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets what the project needs: system packages and the pinned Python environment. Idempotent; when nothing changed
# since the last run it only reads a stamp.
#
# usage: setup.sh [build|all]    build: what `make run` and `make verify` need (default); all: lint and synthesis too
# environment: PYTHON (the interpreter the environment is made with), VERILATOR (the user's own: not asked for here)
set -euo pipefail
cd "$(dirname "$0")/.."

group=${1:-build}
python=${PYTHON:-python3}
venv=.venv
stamp=$venv/.ready

build_packages=(git make g++ cmake ninja-build ccache catch2 libmpfr-dev libgmp-dev libfmt-dev nlohmann-json3-dev
  libcli11-dev liblz4-dev zlib1g-dev libpcre2-dev libzip-dev python3 python3-venv perl)
extra_packages=(clang-format clang-tidy shellcheck opensta qflow-tech-osu018)
case $group in
  build) packages=("${build_packages[@]}") ;;
  all) packages=("${build_packages[@]}" "${extra_packages[@]}") ;;
  *) echo "setup: unknown group '$group' (build, all)" >&2; exit 2 ;;
esac

# The stamp holds what the environment was made from; a line more when the extra packages are there as well.
wanted() { sha256sum requirements.txt scripts/setup.sh | sha256sum | cut -d' ' -f1; }
done_already() {
  [[ -f $stamp && -x $venv/bin/python ]] && grep -qx "made-from $(wanted)" "$stamp" &&
    { [[ $group == build ]] || grep -qx "group all" "$stamp"; }
}
if done_already; then exit 0; fi

mkdir -p build
if command -v flock >/dev/null; then
  exec 9>build/.setup-lock
  flock -w 900 9 || { echo "setup: another set-up has held build/.setup-lock for 15 minutes" >&2; exit 1; }
  if done_already; then exit 0; fi
fi

# ---- system packages -----------------------------------------------------------------------------------------------
missing=()
if command -v dpkg-query >/dev/null; then
  for p in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true) == installed ]] || missing+=("$p")
  done
else
  for c in git make g++ cmake ninja perl; do command -v "$c" >/dev/null || missing+=("$c"); done
  if ((${#missing[@]})); then
    echo "setup: this is no Debian or Ubuntu; install by hand: ${missing[*]}" >&2
    echo "setup: (on Debian the whole list is: ${packages[*]})" >&2
    exit 1
  fi
  echo "setup: this is no Debian or Ubuntu; going on with the tools that are here (see 'make doctor')"
fi

if ((${#missing[@]})); then
  sudo=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
      sudo=(sudo)
    else
      echo "setup: system packages are missing and this user may not install them. Run, as root, then start again:" >&2
      echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "setup: installing ${#missing[@]} system packages: ${missing[*]}"
  log=$(mktemp)
  net=(-o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=300)
  if ! { timeout 300 "${sudo[@]}" apt-get "${net[@]}" update -qq &&
    timeout 1200 "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${net[@]}" install -y -qq \
      --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" | sed 's/^/  /' >&2
    rm -f "$log"
    echo "setup: the packages could not be installed (no network?). Still missing: ${missing[*]}" >&2
    exit 1
  fi
  rm -f "$log"
fi

# ---- Python environment --------------------------------------------------------------------------------------------
if ! grep -qsx "made-from $(wanted)" "$stamp"; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "setup: '$python' is missing or older than Python 3.10; set PYTHON=" >&2; exit 1; }
  echo "setup: making the Python environment in $venv"
  log=$(mktemp)
  if ! { "$python" -m venv --clear "$venv" &&
    timeout 900 "$venv/bin/python" -m pip install -q --disable-pip-version-check --timeout 20 --retries 2 \
      --require-hashes -r requirements.txt; } >"$log" 2>&1; then
    tail -n 5 "$log" | sed 's/^/  /' >&2
    rm -f "$log"
    echo "setup: the Python packages of requirements.txt could not be installed (no network?)" >&2
    exit 1
  fi
  rm -f "$log"
fi

{
  echo "made-from $(wanted)"
  if [[ $group == all ]] || grep -qsx "group all" "$stamp"; then echo "group all"; fi
} >"$stamp.new"
mv "$stamp.new" "$stamp"
