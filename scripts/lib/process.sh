# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Processes that a script starts, kept by pid file, so that it ends those and no others.
#
# A pid file holds "<pid> <start time>": a pid that the kernel has given to somebody else since is
# never signalled. Pid files survive a kill -9 of the script; the next run reads them.

# process_start_time PID: prints when the process started, in clock ticks since boot.
process_start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    set -- $stat
    # Field 22 of proc(5), 20th after the command's name. A zombie has ended.
    [ "$1" != Z ] && echo "${20}"
}

# process_spawn PIDFILE LOGFILE COMMAND...: starts a command in a session of its own (Ctrl-C on the
# terminal does not reach it), its output appended to LOGFILE.
process_spawn() {
    local pidfile=$1 logfile=$2 pid
    shift 2
    # Descriptors above 2 (a lock) are not for children.
    setsid "$@" </dev/null >>"$logfile" 2>&1 8>&- 9>&- &
    pid=$!
    echo "$pid $(process_start_time "$pid")" >"$pidfile"
}

# process_pid PIDFILE: prints the pid if that very process still runs, else fails.
process_pid() {
    local pid started
    { read -r pid started <"$1"; } 2>/dev/null || return 1
    [ -n "${started:-}" ] && [ "$(process_start_time "$pid")" = "$started" ] && echo "$pid"
}

# process_wait_gone PIDFILE SECONDS: waits until the process has ended; fails when it has not.
process_wait_gone() {
    local tries=$(($2 * 20))
    while process_pid "$1" >/dev/null; do
        [ $((tries--)) -gt 0 ] || return 1
        sleep 0.05
    done
}

# process_stop PIDFILE [SIGNAL [SECONDS]]: ends the process, first gently, and removes the file.
process_stop() {
    local pidfile=$1 signal=${2:-TERM} seconds=${3:-10} pid
    if pid=$(process_pid "$pidfile"); then
        kill -s "$signal" "$pid" 2>/dev/null || true
        if ! process_wait_gone "$pidfile" "$seconds"; then
            kill -s KILL "$pid" 2>/dev/null || true
            process_wait_gone "$pidfile" 5 || true
        fi
    fi
    rm -f "$pidfile"
}
