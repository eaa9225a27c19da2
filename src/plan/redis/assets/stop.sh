#!/bin/sh
# Before the container `redis` stops: a master hands over, so that writes pause for a moment and not until its absence is noticed. Never fails: what it cannot
# do, Sentinels do later.

scripts=${0%/*}
# shellcheck source=common.sh
. "$scripts/common.sh"

limit=${ISBSVC_STOP_SECONDS:-20}
began=$(date +%s)

left() {
    [ $(($(date +%s) - began)) -lt "$limit" ]
}

is_master() {
    case $(ask "$1" "$port" INFO replication) in *role:master*) return 0 ;; esac
    return 1
}

# Whether a replica has all that was written.
caught_up() {
    ask "$here" "$port" INFO replication | awk '
        { sub(/\r$/, "") }
        /^master_repl_offset:/ { all = substr($0, 20) + 0 }
        /^slave[0-9]+:/ && /state=online/ { match($0, /offset=[0-9]+/); at = substr($0, RSTART + 7, RLENGTH - 7) + 0; if (at > most) most = at }
        END { exit !(most > 0 && most >= all) }'
}

# A master other than this node that a Sentinel names and that runs as such.
successor() {
    for node in $ISBSVC_NODES; do
        [ "$node" != "$ISBSVC_NODE" ] || continue
        # shellcheck disable=SC2046 # two words
        set -- $(ask "$node" "$sentinel_port" SENTINEL MASTER "$name" | sentinel_facts)
        [ "$1" != - ] && [ "$1" != "$ISBSVC_NODE" ] && is_master "$1" && printf '%s\n' "$1" && return
    done
    return 1
}

is_master "$here" || exit 0
ask "$here" "$port" CLIENT PAUSE $((limit * 1000)) WRITE >/dev/null
until caught_up || ! left; do
    nap 0.1
done
# One Sentinel does it, and no second one beside it: that could make a second master. This node's own is told to stop at the same time and is asked last.
told='no Sentinel answers' chosen='' next=''
for node in $ISBSVC_NODES; do
    [ -z "$chosen" ] || break
    [ "$node" = "$ISBSVC_NODE" ] || [ "$(ask "$node" "$sentinel_port" PING)" != PONG ] || chosen=$node
done
[ -n "$chosen" ] || chosen=$here
while left && [ -z "$next" ]; do
    told=$(ask "$chosen" "$sentinel_port" SENTINEL FAILOVER "$name")
    tries=0
    until next=$(successor) || [ "$tries" -ge 20 ] || ! left; do
        tries=$((tries + 1))
        nap 0.1
    done
done
if [ -n "$next" ]; then
    say "handed over to $next in $(($(date +%s) - began)) s"
    # What this node still has to say is a replica's; its clients are told to look for the master.
    ask "$here" "$port" REPLICAOF "$next" "$port" >/dev/null
    ask "$here" "$port" CLIENT UNPAUSE >/dev/null
    ask "$here" "$port" CLIENT KILL TYPE normal >/dev/null
else
    say "nobody took over in $limit s ($told): the Sentinels will promote another node once this one is gone"
    ask "$here" "$port" CLIENT UNPAUSE >/dev/null
fi
exit 0
