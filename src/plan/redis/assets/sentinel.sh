#!/bin/sh
# Entry of the container `sentinel`: makes its configuration out of what it knew, the users' settings and what an election decided, and runs it.

scripts=${0%/*}
# shellcheck source=common.sh
. "$scripts/common.sh"

quorum=${ISBSVC_QUORUM:-$majority}
state=$data/sentinel/sentinel.conf
# Lines that users do not set: whom it watches, who it is, and what it remembers.
ours='sentinel.myid sentinel.monitor sentinel.auth-.* sentinel.sentinel-.* sentinel.announce-.* sentinel.resolve-hostnames sentinel.known-.*
    sentinel..*-epoch requirepass masterauth masteruser user aclfile port bind dir daemonize pidfile logfile protected-mode include tls-.*'

stopping=
sentinel=
trap 'stopping=1; [ -z "$sentinel" ] || kill -TERM "$sentinel" 2>/dev/null' TERM INT

# 40 digits that are a node's for ever, so that the others know it again though its volume was lost: five checksums of its name, each a number in another
# base to a prime. Names that differ in one place always differ in all five. In awk, because not every image has a program for checksums.
id_of() {
    printf '%s %s\n' "$1" "$name" | awk '{
        letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_: "
        for (part = 1; part <= 5; part++) {
            sum = part
            for (i = 1; i <= length($0); i++) sum = (sum * (1000003 + 2 * part) + index(letters, substr($0, i, 1))) % 2147483647
            printf "%08x", sum
        }
    }'
}

# Whom to watch, and since which epoch: what this Sentinel knew, what an election decided, what the other Sentinels know; the newest of them.
find_master() {
    # shellcheck disable=SC2046 # three words
    set -- $(sentinel_file_facts)
    master=$1 epoch=$2 current=$3
    read_elected && [ "$elected_epoch" -gt "$epoch" ] && master=$elected_master epoch=$elected_epoch
    [ ! -e "$state" ] || [ "$master" = - ] || return 0
    for node in $ISBSVC_NODES; do
        [ "$node" != "$ISBSVC_NODE" ] || continue
        # shellcheck disable=SC2046 # two words
        set -- $(ask "$node" "$sentinel_port" SENTINEL MASTER "$name" | sentinel_facts)
        [ "$1" = - ] || { [ "$master" != - ] && [ "$2" -le "$epoch" ]; } || master=$1 epoch=$2
    done
    [ "$master" != - ]
}

read_elected() {
    read -r elected_epoch elected_master 2>/dev/null <"$data/isbsvc/elected" && [ -n "$elected_master" ]
}

# The timings and whatever else users may set: ours, then theirs; of the same line the last counts.
settings_lines() {
    {
        printf 'sentinel down-after-milliseconds %s 10000\n' "$name"
        printf 'sentinel failover-timeout %s 180000\n' "$name"
        printf 'sentinel parallel-syncs %s 1\n' "$name"
        settings "$home/config/sentinel.conf" "$ours"
    } | awk -v name="$name" '
        tolower($1) == "sentinel" && NF > 3 && $3 != name {
            print "isbsvc: sentinel.conf: sentinel " tolower($2) " is of a master that is not " name " and is left out" | "cat 1>&2"
            next
        }
        {
            # Several commands can be renamed; of all else there is one line.
            key = tolower($1) == "sentinel" ? tolower($2) (tolower($2) ~ /^rename-command$/ ? " " $4 : "") : tolower($1)
            if (!(key in at)) { at[key] = ++count }
            line[at[key]] = $0
        }
        END { for (i = 1; i <= count; i++) print line[i] }'
}

# All nodes of the service, whoever was met before: a Sentinel that begins while the master is down could otherwise be the one that leads the failover and
# finds nobody to promote, and one that knows few others could do with the votes of few.
known_lines() {
    for node in $ISBSVC_NODES; do
        [ "$node" = "$master" ] || printf 'sentinel known-replica %s %s %s\n' "$name" "$node" "$port"
        [ "$node" = "$ISBSVC_NODE" ] || printf 'sentinel known-sentinel %s %s %s %s\n' "$name" "$node" "$sentinel_port" "$(id_of "$node")"
    done
}

write_state() {
    [ "$current" -ge "$epoch" ] || current=$epoch
    {
        printf 'bind %s\nport %s\ndir %s\n' "$bind" "$sentinel_port" "$(quoted "$data/sentinel")"
        printf 'protected-mode no\ndaemonize no\nrequirepass %s\n' "$(quoted "$password")"
        printf 'sentinel myid %s\n' "$(id_of "$ISBSVC_NODE")"
        printf 'sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n'
        printf 'sentinel announce-ip %s\nsentinel announce-port %s\n' "$ISBSVC_NODE" "$sentinel_port"
        printf 'sentinel sentinel-pass %s\n' "$(quoted "$password")"
        printf 'sentinel monitor %s %s %s %s\n' "$name" "$master" "$port" "$quorum"
        printf 'sentinel auth-pass %s %s\n' "$name" "$(quoted "$password")"
        settings_lines
        printf 'sentinel config-epoch %s %s\nsentinel leader-epoch %s %s\n' "$name" "$epoch" "$name" "$current"
        known_lines
        printf 'sentinel current-epoch %s\n' "$current"
    } | replace "$state"
}

# A probe finds no Sentinel yet; this says that there is none on purpose.
waiting() {
    date +%s | replace "$work/waiting"
}

said=
until find_master; do
    [ -z "$stopping" ] || exit 0
    waiting
    [ -n "$said" ] || say "no Sentinel knows a master yet: waits until a node of the service has become one"
    said=1
    second
done

failures=0
while [ -z "$stopping" ]; do
    rm -f "$work/waiting"
    write_state
    say "watches $master since epoch $epoch; $quorum of $nodes must agree that it is down"
    "$server" "$state" --sentinel &
    sentinel=$!
    began=$(date +%s)
    why=
    while [ -z "$stopping" ] && [ -z "$why" ] && kill -0 "$sentinel" 2>/dev/null; do
        # shellcheck disable=SC2046 # three words
        set -- $(sentinel_file_facts)
        ! read_elected || [ "$elected_epoch" -le "$2" ] || why="an election made $elected_master the master"
        [ -n "$why" ] || second
    done
    [ -z "$why$stopping" ] || kill -TERM "$sentinel" 2>/dev/null
    await "$sentinel"
    status=$?
    sentinel=
    [ -z "$stopping" ] || break
    if [ -z "$why" ]; then
        # A name that cannot be resolved yet ends it at once: worth a few tries here, because Kubernetes waits longer each time.
        failures=$((failures + 1))
        [ $(($(date +%s) - began)) -lt 10 ] || failures=1
        [ "$failures" -lt 10 ] || die "Sentinel ended with status $status again and again"
        why="Sentinel ended with status $status"
        waiting
        second
    fi
    say "starts Sentinel again: $why"
    find_master
done
exit "${status:-0}"
