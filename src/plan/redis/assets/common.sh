# shellcheck shell=sh disable=SC2034 # the others use what stands here
# What the scripts of a Redis node share: where things are, and how to ask a server. POSIX sh, because images bring no more.

set -uf
umask 077

# Messages go to standard error, because standard output is often an answer.
say() {
    printf 'isbsvc: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# A second's wait that a signal ends.
second() {
    sleep 1 &
    wait $! 2>/dev/null
}

for needed in ISBSVC_NODE ISBSVC_NODES; do
    eval "[ -n \"\${$needed:-}\" ]" || die "the environment has no $needed"
done
home=${ISBSVC_HOME:-/isbsvc}
data=${ISBSVC_DATA:-/data}
work=${ISBSVC_TMP:-/tmp}/isbsvc-${0##*/}
name=${ISBSVC_MASTER_NAME:-mymaster}
port=${ISBSVC_REDIS_PORT:-6379}
sentinel_port=${ISBSVC_SENTINEL_PORT:-26379}
# Where the servers of this node listen, and where this node reaches them.
bind=${ISBSVC_BIND:-* -::*}
here=${ISBSVC_LOCAL:-127.0.0.1}
# Seconds that one question to a server may take.
patience=${ISBSVC_ASK_SECONDS:-3}

# The user of a waiting instance; the ordinary user is off there, so that neither clients nor Sentinels take it for the service.
waiting_user=isbsvc

first_of() {
    for program in "$@"; do
        command -v "$program" && return
    done
    die "this image has none of: $*"
}

cli=$(first_of redis-cli valkey-cli) || exit 1
server=$(first_of redis-server valkey-server) || exit 1

password=$(cat "$home/auth/redis-password") || die "cannot read the password in $home/auth/redis-password"
[ -n "$password" ] || die "the password in $home/auth/redis-password is empty"

ordinal=0
nodes=0
for node in $ISBSVC_NODES; do
    [ "$node" = "$ISBSVC_NODE" ] && ordinal=$nodes
    nodes=$((nodes + 1))
done
majority=$((nodes / 2 + 1))

mkdir -p "$data/redis" "$data/sentinel" "$data/isbsvc" "$work" || die "cannot write to $data and ${work%/*}"

# As a word of a configuration file, quoted.
quoted() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

# Replaces a file as a whole by standard input, so that nobody reads half of it.
replace() {
    cat >"$1.new" && mv -f "$1.new" "$1"
}

# A short wait; a fraction of a second where `sleep` takes one.
nap() {
    sleep "$1" 2>/dev/null || sleep 1
}

# Becomes redis-cli: only for the background and for subshells. The password goes by the environment, which only the same user reads.
exec_ask() {
    asked_host=$1
    asked_port=$2
    shift 2
    REDISCLI_AUTH=$password
    export REDISCLI_AUTH
    exec "$cli" -h "$asked_host" -p "$asked_port" "$@"
}

# Ends, after a number of seconds, those of the given processes that still run; `unguard` once they have ended. Not every redis-cli has a limit of its own,
# and a lost packet would hold it for minutes.
guard() {
    guarded_for=$1
    shift
    (
        nap=
        trap '[ -z "$nap" ] || kill "$nap"; exit 0' TERM
        sleep "$guarded_for" &
        nap=$!
        wait "$nap"
        kill -9 "$@"
    ) >/dev/null 2>&1 &
    guard=$!
}

unguard() {
    kill "$guard" 2>/dev/null
    wait "$guard" 2>/dev/null
}

# Waits for a process to its end, however often a signal to this script interrupts the wait, and gives its status.
await() {
    while :; do
        wait "$1" 2>/dev/null
        awaited=$?
        kill -0 "$1" 2>/dev/null || return "$awaited"
    done
}

# ask HOST PORT COMMAND...: asks a server once, for a bounded time, and prints the answer.
ask() {
    exec_ask "$@" 2>&1 &
    asking=$!
    guard "$patience" "$asking"
    await "$asking"
    answered=$?
    unguard
    return "$answered"
}

# The host that reaches a node from here.
reach() {
    if [ "$1" = "$ISBSVC_NODE" ]; then printf '%s\n' "$here"; else printf '%s\n' "$1"; fi
}

# From an INFO: role, link to the master, the master's host, offset, replication id, loading, whether what is in memory is on its way to the disk only, and
# whether the AOF is on. A dash where it says nothing.
info_facts() {
    awk '
        { sub(/\r$/, ""); at = index($0, ":"); if (at) fact[substr($0, 1, at - 1)] = substr($0, at + 1) }
        function of(key) { return (key in fact) && fact[key] != "" ? fact[key] : "-" }
        END {
            # A Redis that loads its data says no more about replication than its role.
            slave = of("role") == "slave"
            unsaved = of("aof_enabled") == "1" \
                ? of("aof_rewrite_in_progress") != "0" || of("aof_rewrite_scheduled") != "0" || of("aof_last_bgrewrite_status") != "ok" \
                : of("rdb_changes_since_last_save") != "0"
            print of("role"), of("master_link_status"), of("master_host"), of(slave ? "slave_repl_offset" : "master_repl_offset"), \
                of("master_replid"), of("loading"), unsaved + 0, of("aof_enabled")
        }'
}

# From `SENTINEL MASTER`: the master that this Sentinel names, and the epoch of that.
sentinel_facts() {
    awk '
        { sub(/\r$/, "") }
        NR % 2 { key = $0; next }
        { fact[key] = $0 }
        END { if (fact["ip"] != "" && fact["config-epoch"] != "") print fact["ip"], fact["config-epoch"]; else print "-", 0 }'
}

# From a sentinel.conf that Sentinel keeps: the master, the epoch of that, and the newest epoch that it knows.
sentinel_file_facts() {
    awk -v name="$name" '
        $1 != "sentinel" { next }
        $2 == "monitor" && $3 == name { host = $4 }
        $2 == "config-epoch" && $3 == name { epoch = $4 }
        $2 == "current-epoch" { current = $3 }
        END { print (host == "" ? "-" : host), (epoch == "" ? 0 : epoch), (current == "" ? 0 : current) }' "$data/sentinel/sentinel.conf" 2>/dev/null ||
        printf -- '- 0 0\n'
}

# The lines of a text of users' settings that are taken: without comments, without what is ours (named on standard error, without its value), and without what
# is no directive at all. $1 the file, $2 the directives that are ours, as words and patterns.
settings() {
    [ -r "$1" ] || return 0
    awk -v ours="$2" -v file="${1##*/}" '
        BEGIN { count = split(ours, pattern, " ") }
        { sub(/\r$/, ""); sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "") }
        /^#/ || /^$/ { next }
        {
            key = tolower($1)
            if (key == "sentinel") key = key "." tolower($2)
            refused = key !~ /^[a-z0-9.-]+$/
            for (i = 1; i <= count; i++) if (key ~ ("^" pattern[i] "$")) refused = 1
            if (refused) {
                gsub(/[^a-z0-9.-]/, "?", key)
                print "isbsvc: " file ": " key " is set by isbsvc and is left out" | "cat 1>&2"
                next
            }
            print
        }' "$1"
}
