# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by ../quickstart and run: brings in the packages of packages.txt.

# packages_of FILE SECTION: the names of one section.
packages_of() {
    awk -v section="[$2]" '/^\[/ { here = ($1 == section); next }
                           here && $1 != "" && $1 !~ /^#/ { print $1 }' "$1"
}

# packages_missing FILE SECTION...: those that are not installed. Nothing where there is no dpkg: the
# build then says itself what it lacks.
packages_missing() {
    local file=$1 section name status
    shift
    command -v dpkg-query >/dev/null || return 0
    for section in "$@"; do
        for name in $(packages_of "$file" "$section"); do
            status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) || status=
            [ "$status" = installed ] || echo "$name"
        done
    done
}

# packages_install FILE SECTION...: installs what is missing; calls nothing when nothing is.
# Returns 1 when it can't, after saying what a person should do.
packages_install() {
    local names missing log
    names=$(packages_missing "$@")
    [ -n "$names" ] || return 0
    read -r -a missing <<<"${names//$'\n'/ }"
    if [ "$(id -u)" -ne 0 ]; then
        echo "Missing: ${missing[*]}" >&2
        echo "Not root, so please install them first:  sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${missing[*]}"
    log=$(mktemp)
    if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "${missing[@]}"; } </dev/null >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    echo "apt-get could not install them; its whole output is in $log" >&2
    return 1
}
