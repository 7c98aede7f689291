# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The four services on one machine: their secrets, their settings, start and stop.
#
#   stack_init DIR BIN         where files go and where the programs are
#   stack_check_ports          fails, naming port and setting, when a port is taken
#   stack_start_data           PostgreSQL and Redis, or those of DATABASE_URL and REDIS_URL
#   stack_migrate
#   stack_start SERVICE        gateway, user, video or job
#   stack_stop SERVICE
#   stack_stop_data
#   stack_await_ready SECONDS
#
# Settings come from the environment (REEL_...); what is not set gets a default here or in the
# service. Each service is given the settings that its --help names and no others: its own keys,
# its own database role.

# shellcheck source=scripts/lib/services.sh
. "$(dirname "${BASH_SOURCE[0]}")/services.sh"

STACK_SERVICES="user job video gateway"

stack_init() {
    local dir=$1
    mkdir -p "$dir" 2>/dev/null || true
    [ -w "$dir" ] || { services_fail "$dir is not writable by $(id -un); another user ran here"; return 1; }
    dir=$(cd "$dir" && pwd -P)
    mkdir -p "$dir/run" "$dir/log" "$dir/storage" "$dir/keys"
    chmod 711 "$dir"
    chmod 700 "$dir/storage" "$dir/keys"
    STACK_DIR=$dir
    STACK_BIN=$2
    STACK_SECRETS=$dir/secrets.env
    stack_make_secrets
    stack_defaults
}

# Random keys and passwords, made once and kept. Names that a newer version needs are added.
stack_make_secrets() {
    local name
    (umask 077 && touch "$STACK_SECRETS")
    chmod 600 "$STACK_SECRETS"
    for name in REEL_KEY_GATEWAY REEL_KEY_USER REEL_KEY_VIDEO REEL_KEY_TOOL \
        REEL_PG_PASSWORD_ADMIN REEL_PG_PASSWORD_USER REEL_PG_PASSWORD_VIDEO REEL_PG_PASSWORD_JOB; do
        grep -q "^$name=" "$STACK_SECRETS" ||
            echo "$name=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')" >>"$STACK_SECRETS"
    done
}

stack_secret() {
    sed -n "s/^$1=//p" "$STACK_SECRETS"
}

# A listen address that is moved moves the address that the others dial.
stack_defaults() {
    : "${REEL_GATEWAY_PORT:=3000}"
    : "${REEL_USER_LISTEN:=tcp://127.0.0.1:3001}"
    : "${REEL_VIDEO_LISTEN:=tcp://127.0.0.1:3002}"
    : "${REEL_JOB_LISTEN:=tcp://127.0.0.1:3003}"
    : "${REEL_EVENTS_LISTEN:=tcp://127.0.0.1:3103}"
    : "${REEL_USER_URL:=${REEL_USER_LISTEN%%,*}}"
    : "${REEL_VIDEO_URL:=${REEL_VIDEO_LISTEN%%,*}}"
    : "${REEL_JOB_URL:=${REEL_JOB_LISTEN%%,*}}"
    : "${REEL_EVENTS_URL:=${REEL_EVENTS_LISTEN%%,*}}"
    : "${REEL_STORAGE_DIR:=$STACK_DIR/storage}"
    : "${REEL_KEYS_DIR:=$STACK_DIR/keys}"
    STACK_ADDRESS=http://127.0.0.1:$REEL_GATEWAY_PORT
}

# stack_port_taken PORT: whether something listens on it, by the kernel's own tables.
stack_port_taken() {
    local hex
    hex=$(printf ':%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$hex\$" '$4 == "0A" && $2 ~ port { found = 1 } END { exit !found }'
}

stack_check_ports() {
    local entry setting port url status=0
    local settings="REEL_GATEWAY_PORT=$REEL_GATEWAY_PORT"
    for setting in REEL_USER_LISTEN REEL_VIDEO_LISTEN REEL_JOB_LISTEN REEL_EVENTS_LISTEN; do
        for url in ${!setting//,/ }; do
            case $url in
            tcp://*|tls+tcp://*) settings="$settings $setting=${url##*:}" ;;
            esac
        done
    done
    for entry in $settings; do
        setting=${entry%%=*}
        port=${entry#*=}
        if ! [[ $port =~ ^[0-9]+$ ]] || [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
            services_fail "$setting names no port from 1 to 65535: \"$port\"" || status=1
            continue
        fi
        if stack_port_taken "$port"; then
            services_fail "port $port is taken by another program; stop it, or choose another port with $setting" || status=1
        fi
    done
    return $status
}

stack_start_data() {
    if [ -n "${DATABASE_URL:-}" ]; then
        STACK_PG_URL=$DATABASE_URL
        STACK_PG_PLACE=$DATABASE_URL
        services_psql "$STACK_PG_URL" -XAtqc "select 1" >/dev/null ||
            { services_fail "the PostgreSQL that DATABASE_URL names does not answer"; return 1; }
    else
        services_start_pg "$STACK_DIR" "$(stack_secret REEL_PG_PASSWORD_ADMIN)" || return 1
        STACK_PG_URL=$SERVICES_PG_URL
        STACK_PG_PLACE=$SERVICES_PG_PLACE
    fi
    if [ -n "${REDIS_URL:-}" ]; then
        STACK_REDIS_URL=$REDIS_URL
        [ "$(services_redis_cli "$REDIS_URL" ping)" = PONG ] ||
            { services_fail "the Redis that REDIS_URL names does not answer"; return 1; }
    else
        services_start_redis "$STACK_DIR" || return 1
        STACK_REDIS_URL=$SERVICES_REDIS_URL
    fi
}

stack_stop_data() {
    [ -n "${REDIS_URL:-}" ] || services_stop_redis "$STACK_DIR"
    [ -n "${DATABASE_URL:-}" ] || services_stop_pg "$STACK_DIR"
}

# stack_role_url SERVICE: the database as the service's own role sees it. In a URL of libpq's the
# later user and password count.
stack_role_url() {
    local separator='?'
    case $STACK_PG_PLACE in *\?*) separator='&' ;; esac
    printf '%s%suser=reel_%s&password=%s' "$STACK_PG_PLACE" "$separator" "$1" \
        "$(stack_secret "REEL_PG_PASSWORD_$(echo "$1" | tr a-z A-Z)")"
}

# The settings that a service knows, by its own account.
stack_settings_of() {
    "$STACK_BIN/reel-$1" --help | grep -oE '\b(REEL_[A-Z0-9_]+|DATABASE_URL|REDIS_URL)\b' | sort -u
}

# stack_environment SERVICE DATABASE_URL: sets STACK_ENV to the service's whole environment.
stack_environment() {
    local name value
    STACK_ENV=("PATH=/usr/bin:/bin" "LANG=C.UTF-8" "TZ=UTC")
    for name in $(compgen -e | grep -E '^(ASAN|UBSAN|TSAN|LSAN)_OPTIONS$'); do
        STACK_ENV+=("$name=${!name}")
    done
    for name in $(stack_settings_of "$1"); do
        case $name in
        DATABASE_URL) value=$2 ;;
        REDIS_URL) value=$STACK_REDIS_URL ;;
        REEL_KEY_*_PREVIOUS) value=${!name:-} ;;
        REEL_KEY_*) value=${!name:-$(stack_secret "$name")} ;;
        *) value=${!name:-} ;;
        esac
        [ -z "$value" ] || STACK_ENV+=("$name=$value")
    done
}

# Exports STACK_ENV and nothing else. Not by env(1): its command line would show the secrets.
stack_enter_environment() {
    local name
    for name in $(compgen -e); do
        unset "$name"
    done
    export "${STACK_ENV[@]}"
}

stack_migrate() {
    local service
    services_create_roles "$STACK_PG_URL" "$STACK_SECRETS" || return 1
    for service in user video job; do
        stack_environment $service "$STACK_PG_URL"
        (stack_enter_environment && exec "$STACK_BIN/reel-$service" --migrate) \
            >>"$STACK_DIR/log/migrate.log" 2>&1 ||
            { tail -5 "$STACK_DIR/log/migrate.log" >&2
              services_fail "the migration of $service failed; see $STACK_DIR/log/migrate.log"
              return 1; }
    done
}

stack_start() {
    local url=
    [ "$1" = gateway ] || url=$(stack_role_url "$1")
    stack_environment "$1" "$url"
    (stack_enter_environment &&
        process_spawn "$STACK_DIR/run/$1.pid" "$STACK_DIR/log/$1.log" "$STACK_BIN/reel-$1")
}

stack_stop() {
    process_stop "$STACK_DIR/run/$1.pid" TERM 20
}

stack_is_ready() {
    [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$STACK_ADDRESS/ready")" = 200 ]
}

# Fails at once, with the end of its log, when a service has ended.
stack_await_ready() {
    local service deadline=$((SECONDS + $1))
    until stack_is_ready; do
        for service in $STACK_SERVICES; do
            if ! process_pid "$STACK_DIR/run/$service.pid" >/dev/null; then
                tail -5 "$STACK_DIR/log/$service.log" >&2
                services_fail "$service has ended; see $STACK_DIR/log/$service.log"
                return 1
            fi
        done
        if [ $SECONDS -ge $deadline ]; then
            curl -s -m 2 "$STACK_ADDRESS/ready" >&2 || true
            services_fail "not ready after $1 s; see $STACK_DIR/log/"
            return 1
        fi
        sleep 0.1
    done
}
