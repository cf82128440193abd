# What the scripts share. Sourced, by bash, from anywhere; everything that is made goes under build/.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
PGRX_VERSION=0.18.1
DENO_VERSION=2.9.6

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# As root directly, else through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else
    command -v sudo >/dev/null || die "this needs root or sudo: $*"
    sudo "$@"
  fi
}

# initdb and postgres refuse to run as root: root's cluster belongs to the postgres user of the Debian package.
as_cluster_owner() {
  if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"); else "$@"; fi
}

apt_update() {
  [ -z "${APT_UPDATED:-}" ] || return 0
  as_root apt-get update -qq
  export APT_UPDATED=1
}

apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null || die "install the equivalents of these Debian packages: ${missing[*]}"
  say "installing ${missing[*]}"
  apt_update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The newest PostgreSQL that is installed with its headers, else the one the distribution has.
default_major() {
  local major
  for major in 18 17 16 15; do
    if [ -x "/usr/lib/postgresql/$major/bin/postgres" ] && [ -d "/usr/include/postgresql/$major/server" ]; then
      echo "$major"; return
    fi
  done
  command -v apt-cache >/dev/null || die "install PostgreSQL 15 or newer with its headers, or set PG"
  apt_update
  apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -1 | grep . || die "apt knows no PostgreSQL"
}

# Where the server's files are: build/, unless the clone is in a folder that the cluster's owner may not enter, as
# root's home is for the postgres user.
state_dir() {
  local folder=$ROOT state
  if [ "$(id -u)" = 0 ]; then
    while [ "$folder" != / ]; do
      if (((0$(stat -c %a "$folder") & 1) == 0)); then
        state=/var/tmp/matrice-$(echo "$ROOT" | cksum | cut -d' ' -f1)
        mkdir -p "$state"
        [ -O "$state" ] || die "$state belongs to somebody else"
        echo "$state"
        return
      fi
      folder=$(dirname "$folder")
    done
  fi
  echo "$BUILD"
}
STATE=$(state_dir)

# Chooses the PostgreSQL to work with: the major version in $PG, else the default one. Each version has its own folder under
# build/, so switching rebuilds nothing. PG_HOME is a private installation: PostgreSQL finds its files relative to its
# binaries, so extensions can be installed there and the system's PostgreSQL stays as it is.
use_postgres() {
  PG=${PG:-$(default_major)}
  [[ $PG =~ ^1[5-8]$ ]] || die "PG=$PG: matrice runs on PostgreSQL 15, 16, 17 and 18"
  export PG
  PG_HOME=$STATE/$PG/pg
  PG_BIN=$PG_HOME/bin
}

# The release of a cargo subcommand that is asked for: the machine's, else one in build/.
install_cargo_tool() {
  local name=$1 version=$2
  cargo "$name" --version 2>/dev/null | grep -qF "$version" && return
  export PATH=$BUILD/tools/bin:$PATH
  cargo "$name" --version 2>/dev/null | grep -qF "$version" && return
  say "installing cargo-$name $version (a few minutes)"
  CARGO_TARGET_DIR=$BUILD/tools/target cargo install --quiet --locked --root "$BUILD/tools" "cargo-$name@$version"
  rm -rf "$BUILD/tools/target"
}

# The crate is pinned to one release of pgrx.
install_cargo_pgrx() { install_cargo_tool pgrx "$PGRX_VERSION"; }

# Sets pgrx up for a PostgreSQL. (`cargo pgrx init` would also initdb a cluster, which nobody here uses and root cannot.)
# An unchanged file stays as it is, or everything would be built again.
pgrx_use() {
  local pg_config=$1 major config
  major=$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  config=$(printf '[configs]\npg%s = "%s"' "$major" "$pg_config")
  # One target folder for all versions and for tests of the core: only what knows the version is built for each.
  export PGRX_HOME=$BUILD/$major/pgrx CARGO_TARGET_DIR=$TARGET
  PGRX_OPTIONS=(--release --no-default-features --features "pg$major")
  mkdir -p "$PGRX_HOME"
  [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$config" ] || echo "$config" > "$PGRX_HOME/config.toml"
}

# Builds the release extension for a PostgreSQL and installs it there.
pgrx_install() (
  local pg_config=$1
  shift
  pgrx_use "$pg_config"
  cd "$ROOT"
  mkdir -p "$TARGET"
  # Nobody builds the library for another version before it is copied.
  flock "$TARGET" cargo pgrx install --pg-config "$pg_config" "${PGRX_OPTIONS[@]}" "$@"
)

# What cargo-pgrx adds to cargo's configuration: with it tests and lints reuse what the extension was built with.
PGRX_CONFIG=(--config "target.'cfg(all(target_family = \"unix\", not(target_os = \"macos\")))'.rustflags = [\"-C\", \"link-arg=-Wl,--no-gc-sections\"]")

# cargo as cargo-pgrx calls it.
pgrx_cargo() (
  local command=$1
  shift
  pgrx_use "$PG_BIN/pg_config"
  cd "$ROOT"
  cargo "${PGRX_CONFIG[@]}" "$command" "${PGRX_OPTIONS[@]}" "$@"
)

# Python with the packages of scripts/requirements.txt, in build/venv; for tests/api those of tests/api/requirements.txt,
# in build/venv-api.
python_environment() {
  local requirements=$ROOT/${1:-scripts}/requirements.txt venv=$BUILD/venv${1:+-${1##*/}}
  cmp -s "$requirements" "$venv/requirements.txt" && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  say "installing Python packages into ${venv#"$ROOT/"}"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/requirements.txt"
}

# The linters of scripts/lint-tools, in build/.
python_tools() {
  python_environment scripts/lint-tools
  export TOOLS=$BUILD/venv-lint-tools/bin
}

javascript_tools() {
  local tools=$ROOT/scripts/lint-tools folder=$BUILD/lint-tools
  export BIOME=$folder/node_modules/.bin/biome
  cmp -s "$tools/package-lock.json" "$folder/package-lock.json" && [ -x "$BIOME" ] && return
  say "installing npm packages into ${folder#"$ROOT/"}"
  mkdir -p "$folder"
  cp "$tools/package.json" "$tools/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --silent --no-audit --no-fund)
}

# Deno, which runs the worker and the edge functions, in build/. An older one may not know the form of worker.lock.
deno_tools() {
  export DENO=$BUILD/deno/node_modules/.bin/deno
  [ "$("$DENO" --version 2>/dev/null | awk 'NR == 1 { print $2 }')" = "$DENO_VERSION" ] && return
  say "installing deno $DENO_VERSION into ${BUILD#"$ROOT/"}/deno"
  npm install --silent --no-audit --no-fund --no-save --prefix "$BUILD/deno" "deno@$DENO_VERSION"
}
