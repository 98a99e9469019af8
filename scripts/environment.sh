# shellcheck shell=sh
# Sourced by the scripts beside it: finds or makes a Python environment for them.
#
#   use_environment NAME EXTRAS [--active]
#
# sets `python` to an interpreter that has this checkout (editable) with EXTRAS installed.
#
# 1. The active virtual environment, when it has all of that.
# 2. With --active: the active virtual environment, after installing into it.
# 3. `.venv-NAME` in the checkout, made on first use and again when pyproject.toml or Python change.

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
least="3, 11" # keep in step with requires-python

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$0: $*"
    exit 1
}

use_environment() {
    name=$1
    extras=$2
    active=${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}
    if [ -n "$active" ] && is_new_enough "$active"; then
        python=$active
        if has_everything "$extras"; then
            return
        elif [ "${3:-}" = --active ]; then
            say "Installing into the active environment, $VIRTUAL_ENV ..."
            "$python" -m pip install --quiet --editable "${checkout}[$extras]" || fail "pip failed, see above"
            return
        fi
    fi
    use_own "$checkout/.venv-$name" "$extras"
}

use_own() {
    home=$1
    python=$home/bin/python
    base=$(find_python)
    [ -n "$base" ] || fail "Python 3.11 or newer is needed (on Debian 12 and newer: apt-get install python3-venv)"
    key=$(environment_key "$base" "$2")
    if [ "$(cat "$home/key" 2>/dev/null)" = "$key" ] && "$python" -c "" 2>/dev/null; then
        return
    fi
    say "Making an environment in $home ..."
    rm -rf -- "$home"
    make_environment "$base" "$home"
    install_into "$base" "${checkout}[$2]" || fail "pip failed, see above"
    printf '%s\n' "$key" >"$home/key"
}

# An environment is made anew when this text changes.
environment_key() {
    "$1" - "$checkout" "$2" <<'END'
import hashlib, pathlib, sys
project = pathlib.Path(sys.argv[1], "pyproject.toml").read_bytes()
print(hashlib.sha256(project).hexdigest(), sys.argv[1], sys.argv[2], sys.version.split()[0], sys.executable)
END
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then
            # A shim such as pyenv's may mean another Python in another directory.
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < ($least))" 2>/dev/null
}

# Debian takes ensurepip out of Python and puts it into python3-venv. Without it, pip of
# python3-pip can install into an environment that has none of its own.
make_environment() {
    if "$1" -c 'import venv; from ensurepip import version' 2>/dev/null; then
        "$1" -m venv "$2" || fail "cannot make an environment in $2"
    elif "$1" -c 'import venv' 2>/dev/null && "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m venv --without-pip "$2" || fail "cannot make an environment in $2"
    else
        fail "this Python can make no environment; install it: apt-get install python3-venv"
    fi
}

install_into() {
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --editable "$2"
    else
        "$1" -m pip --python "$python" install --quiet --disable-pip-version-check --editable "$2"
    fi
}

# Whether $python has this checkout and everything that it and its extras require.
has_everything() {
    (cd / && "$python" - "$checkout" "$1" 2>/dev/null) <<'END'
import importlib.util, pathlib, sys, tomllib
from importlib.metadata import PackageNotFoundError, version
from packaging.requirements import Requirement

checkout, extras = pathlib.Path(sys.argv[1]), sys.argv[2].split(",")
project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
wanted = list(project["dependencies"])
for extra in extras:
    wanted += project["optional-dependencies"][extra]
for requirement in map(Requirement, wanted):
    if requirement.name == project["name"] or (requirement.marker and not requirement.marker.evaluate()):
        continue
    if not requirement.specifier.contains(version(requirement.name), prereleases=True):
        sys.exit(1)
spec = importlib.util.find_spec("hypergraph")
sys.exit(spec is None or pathlib.Path(spec.origin).parents[1] != checkout)
END
}
