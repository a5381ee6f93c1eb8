# What the scripts of the servers share.

# A port of 127.0.0.1 that nobody listens on: outside the range that the system gives to clients by itself.
free_port() {
    local port
    for _ in $(seq 200); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    echo "no free port found" >&2
    return 1
}

# as USER COMMAND…: as that user where this is root, from a folder that anybody may be in
as() {
    local user=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && exec setpriv --reuid "$user" --regid "$user" --init-groups --reset-env "$@")
    else
        (cd / && exec "$@")
    fi
}

# until_ready TRIES COMMAND…: every 50 ms
until_ready() {
    local tries=$1
    shift
    for _ in $(seq "$tries"); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    return 1
}

# stop_process FILE SIGNAL: the process whose number is in the file, waited for
stop_process() {
    local pid
    pid=$(head -n 1 "$1" 2>/dev/null) || return 0
    kill "-$2" "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
}
