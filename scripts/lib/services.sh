# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private PostgreSQL and a private Redis in a directory of their own, on Unix sockets only. No
# system service is touched. Source it; it needs bash.
#
#   services_start_pg DIR [PASSWORD]   sets SERVICES_PG_URL (the administrator's) and
#                                      SERVICES_PG_PLACE (without user and password)
#   services_stop_pg DIR
#   services_start_redis DIR           sets SERVICES_REDIS_URL
#   services_stop_redis DIR
#   services_create_roles URL [PASSWORD_FILE]
#
# SERVICES_FAST=1 trades durability for speed; for tests only. Starting twice is fine, and so is
# starting after a kill -9 of everything.

# shellcheck source=scripts/lib/process.sh
. "$(dirname "${BASH_SOURCE[0]}")/process.sh"

SERVICES_ROLES="reel_user reel_video reel_job"

services_fail() {
    echo "error: $*" >&2
    return 1
}

# services_as USER COMMAND...: as USER when we are root (PostgreSQL refuses root), else as we are.
services_as() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        # From / because the user need not be able to enter the current directory.
        (cd / && exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@")
    else
        "$@"
    fi
}

# services_home DIR NAME USER: makes DIR/NAME, owned by USER, and sets SERVICES_HOME to where it is.
# A user that cannot enter DIR (a clone below /root) gets a directory in /var/lib and a link to it.
services_home() {
    local home=$1/$2 user=$3 elsewhere
    mkdir -p "$1/run" "$1/log"
    if [ "$(id -u)" = 0 ]; then
        if ! services_as "$user" test -x "$1"; then
            elsewhere=/var/lib/reelmesh/$(printf %s "$1" | cksum | cut -d' ' -f1)-$2
            mkdir -p "$elsewhere"
            [ -L "$home" ] || { ln -s "$elsewhere" "$home" &&
                echo "$2: user $user cannot enter $1; its files are in $elsewhere"; }
            home=$elsewhere
        fi
        mkdir -p "$home"
        # Another user may have run here before.
        [ "$(stat -c %U "$home")" = "$user" ] || chown -R "$user" "$home"
    else
        mkdir -p "$home"
        [ -O "$home/" ] || {
            services_fail "$home belongs to $(stat -Lc %U "$home"); give it back (sudo chown -R $(id -un) $home) or use another REEL_RUN_DIR"
            return 1
        }
    fi
    chmod 700 "$home"
    SERVICES_HOME=$home
}

# services_socket_dir HOME USER: sets SERVICES_SOCKETS to a directory whose sockets fit the 107
# bytes that Unix allows.
services_socket_dir() {
    SERVICES_SOCKETS=$1
    [ ${#1} -le 85 ] && return
    SERVICES_SOCKETS=/tmp/reelmesh-$(printf %s "$1" | cksum | cut -d' ' -f1)
    mkdir -p "$SERVICES_SOCKETS"
    [ -O "$SERVICES_SOCKETS" ] || [ "$(stat -c %U "$SERVICES_SOCKETS")" = "$2" ] ||
        services_fail "$SERVICES_SOCKETS belongs to somebody else; remove it or move the clone"
    [ "$(id -u)" != 0 ] || chown "$2" "$SERVICES_SOCKETS"
    chmod 700 "$SERVICES_SOCKETS"
}

# services_decode TEXT: prints it with its %XX resolved.
services_decode() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

# services_psql URL ARGUMENT...: psql, with the URL's password in the environment: a command line is
# for everybody to see.
services_psql() {
    local url=$1 password=${PGPASSWORD:-} last_password='^(.*[?&])password=([^&]*)&?(.*)$'
    shift
    if [[ $url =~ ^([a-z]+://[^:/@]*):([^/@]*)@(.*)$ ]]; then
        url=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
        password=$(services_decode "${BASH_REMATCH[2]}")
    fi
    if [[ $url =~ $last_password ]]; then
        # Of several the last counts.
        password=$(services_decode "${BASH_REMATCH[2]}")
    fi
    while [[ $url =~ $last_password ]]; do
        url=${BASH_REMATCH[1]}${BASH_REMATCH[3]}
    done
    PGPASSWORD=$password psql "${url%[?&]}" "$@"
}

# services_redis_cli URL ARGUMENT...: redis-cli on redis://[[user:]password@]host[:port][/db] or
# unix:///path[?db=n], the password in the environment.
services_redis_cli() {
    local url=$1 at user="" password=""
    shift
    if [[ $url == unix://* ]]; then
        at=${url#unix://}
        redis-cli -s "${at%%\?*}" "$@"
        return
    fi
    at=${url#redis://}
    if [[ $at =~ ^([^/]*)@(.*)$ ]]; then
        password=${BASH_REMATCH[1]#*:}
        [[ ${BASH_REMATCH[1]} != ?*:* ]] || user=${BASH_REMATCH[1]%%:*}
        at=${BASH_REMATCH[2]}
    fi
    set -- ${user:+--user "$user"} -u "redis://$at" "$@"
    # An empty one would be sent.
    ([ -z "$password" ] || export REDISCLI_AUTH="$password"; exec redis-cli --no-auth-warning "$@")
}

services_pg_bin() {
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    [ -x "$bin/postgres" ] || services_fail "PostgreSQL is not installed; run scripts/setup.sh"
    echo "$bin"
}

# services_clear_stale_pg DATA: a postmaster.pid whose process is gone, or is no PostgreSQL of this
# directory, would keep the server from starting.
services_clear_stale_pg() {
    local pid
    pid=$(head -1 "$1/postmaster.pid" 2>/dev/null) || return 0
    [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$1" ] && return 0
    rm -f "$1/postmaster.pid" "$SERVICES_SOCKETS"/.s.PGSQL.*
}

services_init_pg() {
    local bin=$1 data=$2 password=$3 pwfile
    [ -f "$data/PG_VERSION" ] && [ -f "$data/reelmesh.ready" ] && return
    rm -rf "$data"
    set -- --no-locale --encoding=UTF8 --username=reel_admin --no-instructions
    if [ -n "$password" ]; then
        pwfile=$SERVICES_HOME/password
        (umask 077 && printf '%s\n' "$password" >"$pwfile")
        [ "$(id -u)" != 0 ] || chown postgres "$pwfile"
        set -- "$@" --auth=scram-sha-256 --pwfile="$pwfile"
    else
        set -- "$@" --auth=trust
    fi
    [ -z "${SERVICES_FAST:-}" ] || set -- "$@" --no-sync
    services_as postgres "$bin/initdb" -D "$data" "$@" >"$SERVICES_LOG" 2>&1 ||
        { tail -5 "$SERVICES_LOG" >&2; services_fail "initdb failed; see $SERVICES_LOG"; return 1; }
    rm -f "$SERVICES_HOME/password"
    # initdb killed half-way leaves a directory that looks like a cluster.
    services_as postgres touch "$data/reelmesh.ready"
}

# services_await PIDFILE SECONDS COMMAND...: until COMMAND succeeds; fails at once when the process
# has ended.
services_await() {
    local pidfile=$1 tries=$(($2 * 20))
    shift 2
    until "$@" >/dev/null 2>&1; do
        process_pid "$pidfile" >/dev/null && [ $((tries--)) -gt 0 ] || return 1
        sleep 0.05
    done
}

services_launch_pg() {
    local dir=$1 bin=$2 data=$3
    set -- -c listen_addresses= -c "unix_socket_directories=$SERVICES_SOCKETS" \
        -c unix_socket_permissions=0700 -c max_connections=200 -c log_destination=stderr \
        -c logging_collector=off -c timezone=UTC -c log_timezone=UTC
    # Tests kill PostgreSQL but not the machine: what reached the kernel is as good as on disk.
    [ -z "${SERVICES_FAST:-}" ] || set -- "$@" -c fsync=off -c full_page_writes=off
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups \
            "$bin/postgres" -D "$data" "$@"
    else
        set -- "$bin/postgres" -D "$data" "$@"
    fi
    (cd / && process_spawn "$dir/run/postgres.pid" "$SERVICES_LOG" "$@")
    services_await "$dir/run/postgres.pid" 60 \
        "$bin/pg_isready" -q -h "$SERVICES_SOCKETS" -U reel_admin -d postgres
}

services_start_pg() {
    local dir bin data password=${2:-} tries
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    bin=$(services_pg_bin) || return 1
    services_home "$dir" postgres postgres || return 1
    services_socket_dir "$SERVICES_HOME" postgres || return 1
    SERVICES_LOG=$dir/log/postgres.log
    data=$SERVICES_HOME/data
    SERVICES_PG_PLACE="postgresql:///reelmesh?host=$SERVICES_SOCKETS"
    SERVICES_PG_URL="$SERVICES_PG_PLACE&user=reel_admin"
    [ -z "$password" ] || SERVICES_PG_URL="$SERVICES_PG_URL&password=$password"
    if ! process_pid "$dir/run/postgres.pid" >/dev/null; then
        services_init_pg "$bin" "$data" "$password" || return 1
        # Backends of a killed server hold its shared memory for a moment longer.
        for tries in 1 2 3 4 5; do
            services_clear_stale_pg "$data"
            services_launch_pg "$dir" "$bin" "$data" && break
            [ "$tries" != 5 ] ||
                { tail -5 "$SERVICES_LOG" >&2; services_fail "PostgreSQL does not start; see $SERVICES_LOG"; return 1; }
            sleep 1
        done
    fi
    services_create_database "${SERVICES_PG_URL/\/reelmesh/\/postgres}"
}

services_create_database() {
    if [ "$(services_psql "$1" -XAtc "select 1 from pg_database where datname = 'reelmesh'")" != 1 ]; then
        services_psql "$1" -XAqc "create database reelmesh" || return 1
    fi
}

services_stop_pg() {
    # SIGINT is the fast shutdown: clients are disconnected, the data is flushed.
    process_stop "$(cd "$1" && pwd -P)/run/postgres.pid" INT 30
}

# services_create_roles URL [SECRETS]: the services' login roles, if they are missing. SECRETS is a
# file of NAME=value lines that has REEL_PG_PASSWORD_USER, _VIDEO and _JOB; without it the roles
# have no password.
services_create_roles() {
    local url=$1 secrets=${2:-} role name password
    for role in $SERVICES_ROLES; do
        name=REEL_PG_PASSWORD_$(echo "${role#reel_}" | tr a-z A-Z)
        password=
        [ -z "$secrets" ] || password=$(sed -n "s/^$name=//p" "$secrets")
        # The statement has a password as well, and goes through stdin.
        services_psql "$url" -XAq -v ON_ERROR_STOP=1 <<SQL || return 1
do \$\$
begin
    perform pg_advisory_xact_lock(72611);
    if not exists (select 1 from pg_roles where rolname = '$role') then
        create role $role login;
    end if;
end
\$\$;
${password:+alter role $role password '$password';}
SQL
    done
}

services_start_redis() {
    local dir server
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    server=$(command -v redis-server) ||
        { services_fail "Redis is not installed; run scripts/setup.sh"; return 1; }
    services_home "$dir" redis redis || return 1
    services_socket_dir "$SERVICES_HOME" redis || return 1
    SERVICES_REDIS_URL=unix://$SERVICES_SOCKETS/redis.sock
    process_pid "$dir/run/redis.pid" >/dev/null && return
    rm -f "$SERVICES_SOCKETS/redis.sock"
    set -- "$server" --port 0 --unixsocket "$SERVICES_SOCKETS/redis.sock" --unixsocketperm 700 \
        --dir "$SERVICES_HOME" --appendonly yes --appendfsync everysec --save "" \
        --maxmemory-policy noeviction --daemonize no --databases 16
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid=redis --regid="$(id -g redis)" --clear-groups "$@"
    fi
    (cd / && process_spawn "$dir/run/redis.pid" "$dir/log/redis.log" "$@")
    services_await "$dir/run/redis.pid" 30 services_redis_answers ||
        { tail -5 "$dir/log/redis.log" >&2; services_fail "Redis does not start; see $dir/log/redis.log"; }
}

# Redis answers LOADING while it reads its file.
services_redis_answers() {
    [ "$(redis-cli -s "${SERVICES_REDIS_URL#unix://}" ping)" = PONG ]
}

services_stop_redis() {
    process_stop "$(cd "$1" && pwd -P)/run/redis.pid" TERM 30
}
