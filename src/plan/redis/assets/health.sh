#!/bin/sh
# Probes: redis-live, redis-ready, sentinel-live, sentinel-ready. A node that loads, waits for its master or waits for its role is alive; it is ready when it
# serves.

scripts=${0%/*}
# shellcheck source=common.sh
. "$scripts/common.sh"

# Less than a probe's own limit.
patience=${ISBSVC_PROBE_SECONDS:-2}

redis_live() {
    told=$(ask "$here" "$port" PING)
    case $told in
    *PONG* | *LOADING* | *MASTERDOWN* | *BUSY*) return 0 ;;
    *NOAUTH*) [ "$(ask "$here" "$port" --user "$waiting_user" PING)" = PONG ] ;;
    *) return 1 ;;
    esac
}

redis_ready() {
    [ "$(ask "$here" "$port" PING)" = PONG ] || return 1
    # shellcheck disable=SC2046 # words
    set -- $(ask "$here" "$port" INFO | info_facts)
    [ "$1" = master ] || [ "$2" = up ]
}

# Sentinel's script says each second that it waits on purpose.
sentinel_waits() {
    read -r at 2>/dev/null <"${work%/*}/isbsvc-sentinel.sh/waiting" && [ $(($(date +%s) - at)) -le 30 ]
}

case ${1:-} in
redis-live) redis_live ;;
redis-ready) redis_ready ;;
sentinel-live) [ "$(ask "$here" "$sentinel_port" PING)" = PONG ] || sentinel_waits ;;
sentinel-ready) [ "$(ask "$here" "$sentinel_port" PING)" = PONG ] ;;
*) die "health.sh is one of redis-live, redis-ready, sentinel-live, sentinel-ready, not '${1:-}'" ;;
esac
