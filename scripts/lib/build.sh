# Configures and compiles a meson build folder. Sourced; needs $root.

# build_folder FOLDER COMPILER MESON_OPTION… [-- TARGET…]
build_folder() {
    local folder=$1 compiler=$2 options=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "${options[@]}" || return
    else
        CC=$compiler meson setup "$folder" "$root" "${options[@]}" || return
    fi
    ninja -C "$folder" "$@"
}

# build_release: the program, the library and nothing for developers; build/takt
build_release() {
    build_folder "$root/build" "${CC:-cc}" -Dbuildtype=debugoptimized -Dtests=false
}
