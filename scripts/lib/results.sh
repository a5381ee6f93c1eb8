# Counts results and keeps a log per step. Sourced; needs $logs.

passed=0 failed=0 skipped=0

# count PASSED FAILED SKIPPED
count() {
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# log_of NAME: the step's log file
log_of() {
    echo "$logs/${1//[^A-Za-z0-9_.-]/-}.log"
}

# show_failure NAME: the end of its log
show_failure() {
    echo "FAILED: $1 (log: $(log_of "$1"))"
    tail -n 40 "$(log_of "$1")" | sed 's/^/    /'
}

# step NAME COMMAND…: runs it and counts one result; exit code 77 means skipped
step() {
    local name=$1 begin=$SECONDS code=0
    shift
    "$@" >"$(log_of "$name")" 2>&1 </dev/null || code=$?
    case $code in
    0)
        count 1 0 0
        echo "ok: $name ($((SECONDS - begin)) s)"
        ;;
    77)
        count 0 0 1
        echo "skipped: $name: $(tail -n 1 "$(log_of "$name")")"
        ;;
    *)
        count 0 1 0
        show_failure "$name"
        return 1
        ;;
    esac
}

# suites NAME FOLDER SUITE…: runs meson's tests of these suites and counts every case
suites() {
    local name=$1 folder=$2 begin=$SECONDS code=0 cases suite options=()
    shift 2
    for suite in "$@"; do options+=(--suite "$suite"); done
    rm -f "$folder/meson-logs/testlog.json"
    meson test -C "$folder" --no-rebuild --print-errorlogs "${options[@]}" \
        >"$(log_of "$name")" 2>&1 </dev/null || code=$?
    if [ ! -s "$folder/meson-logs/testlog.json" ]; then
        count 0 1 0
        show_failure "$name"
        return 1
    fi
    read -r -a cases < <("$root/tools/test_summary" "$folder/meson-logs/testlog.json")
    [ "$code" -eq 0 ] || [ "${cases[1]}" -gt 0 ] || cases[1]=1
    count "${cases[@]}"
    echo "$name: ${cases[0]} passed, ${cases[1]} failed, ${cases[2]} skipped ($((SECONDS - begin)) s)"
    if [ "${cases[1]}" -gt 0 ]; then
        show_failure "$name"
        return 1
    fi
}

# counted NAME COMMAND…: runs a program whose last line is "N passed, N failed, N skipped"
counted() {
    local name=$1 begin=$SECONDS code=0 cases=(0 0 0)
    local line='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'
    shift
    "$@" >"$(log_of "$name")" 2>&1 </dev/null || code=$?
    [[ $(tail -n 1 "$(log_of "$name")") =~ $line ]] && cases=("${BASH_REMATCH[@]:1}")
    [ "$code" -eq 0 ] || [ "${cases[1]}" -gt 0 ] || cases[1]=1
    count "${cases[@]}"
    echo "$name: ${cases[0]} passed, ${cases[1]} failed, ${cases[2]} skipped ($((SECONDS - begin)) s)"
    if [ "${cases[1]}" -gt 0 ]; then
        show_failure "$name"
        return 1
    fi
}

# begin_beside COMMAND…: runs it, steps and all, beside what follows; end_beside counts it. One at a time.
# In a process group of its own, which stop_beside (for a trap) ends.
begin_beside() {
    rm -f "$logs/beside.counts"
    set -m
    (
        passed=0 failed=0 skipped=0
        "$@" >"$logs/beside.log" 2>&1 </dev/null || true
        echo "$passed $failed $skipped" >"$logs/beside.counts"
    ) &
    beside=$!
    set +m
}

end_beside() {
    local cases=()
    wait "$beside" || true
    beside=
    cat "$logs/beside.log"
    [ ! -s "$logs/beside.counts" ] || read -r -a cases <"$logs/beside.counts"
    [ ${#cases[@]} -eq 3 ] || cases=(0 1 0)
    count "${cases[@]}"
}

stop_beside() {
    [ -z "${beside:-}" ] || kill -- "-$beside" 2>/dev/null || true
}
