# Installs what scripts/packages names and this machine lacks. Sourced; needs $root.

# as_root COMMAND…
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -- "$@"
    fi
}

# missing_packages GROUP…: one a line
missing_packages() {
    local group package command wanted=" $* "
    while read -r group package command; do
        case $group in '' | '#'*) continue ;; esac
        [[ $wanted == *" $group "* ]] || continue
        if [ -n "$command" ]; then
            command -v "$command" >/dev/null && continue
        elif dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
            continue
        fi
        echo "$package"
    done <"$root/scripts/packages"
}

# install_packages GROUP…
install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        echo "no apt here: please install by hand what scripts/packages lists for: $*" >&2
        return 0
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
            return 1
        fi
        echo "installing with sudo: ${missing[*]}" >&2
    else
        echo "installing: ${missing[*]}" >&2
    fi
    as_root apt-get update -qq </dev/null >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" </dev/null >&2
}

# The sanitizers' runtime of the clang that is installed; its package carries the version in its name.
install_clang_runtime() {
    local version
    version=$(clang -dumpversion | cut -d. -f1)
    [ ! -e "$(clang -print-file-name=libclang_rt.asan-$(uname -m).a)" ] || return 0
    echo "installing: libclang-rt-$version-dev" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "libclang-rt-$version-dev" </dev/null >&2
}

# make_locale FOLDER: a locale with a decimal comma, for the test that wants one
make_locale() {
    mkdir -p "$1"
    [ -d "$1/de_DE.UTF-8" ] || localedef -i de_DE -f UTF-8 "$1/de_DE.UTF-8"
    export TAKT_TEST_LOCPATH=$1
}
