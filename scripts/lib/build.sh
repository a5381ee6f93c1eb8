# Configures and compiles a meson build folder. Sourced; needs $root.

# build_folder FOLDER COMPILER MESON_OPTION…
build_folder() {
    local folder=$1 compiler=$2
    shift 2
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@" || return
    else
        CC=$compiler meson setup "$folder" "$root" "$@" || return
    fi
    ninja -C "$folder"
}

# build_release: the program, the library and nothing for developers; build/takt
build_release() {
    build_folder "$root/build" "${CC:-cc}" -Dbuildtype=debugoptimized -Dtests=false
}
