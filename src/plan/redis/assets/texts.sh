# shellcheck shell=sh disable=SC2034,SC2154 # they share their variables
# The configuration of Redis: what stands in which text, the file that a server starts with, and what a change of role changes in a running one.

# Directives that users do not set: where the node is, who may come in, and whom it follows.
ours='dir port bind unixsocket unixsocketperm protected-mode daemonize pidfile logfile supervised include rename-command requirepass masterauth masteruser
    user aclfile replicaof slaveof replica-announce-.* slave-announce-.* replica-announced appendfilename appenddirname dbfilename tls-.* cluster-.* sentinel.*'
priorities='replica-priority slave-priority'

# What every node has unless the users say otherwise. No eviction: it would throw unread messages away. A new master takes no writes before it has a replica:
# so the first copy does not wait the usual 5 s for more replicas.
base_settings() {
    cat <<'END'
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
min-replicas-to-write 1
min-replicas-max-lag 10
repl-diskless-sync-delay 1
END
}

# Once at the start: the users' texts without what is ours, so that what is left out is said once.
read_settings() {
    rm -rf "$work/texts"
    mkdir -p "$work/texts/before"
    for text in redis master replica; do
        settings "$home/config/$text.conf" "$ours" | replace "$work/texts/$text"
    done
    { base_settings && cat "$work/texts/redis"; } | replace "$work/texts/all"
}

# The directives of some texts, each once.
directives() {
    awk '{ key = tolower($1); if (!(key in seen)) { seen[key] = 1; print key } }' "$@"
}

# The value that a text gives a directive, as CONFIG SET takes it; nothing and a failure where it gives none. Some add up over lines, of the others the last
# line counts.
value_in() {
    awk -v key="$2" '
        tolower($1) == key {
            found = 1
            value = $0
            sub(/^[^ \t]+[ \t]*/, "", value)
            if (value ~ /^".*"$/) value = substr(value, 2, length(value) - 2)
            adds = key == "save" || key == "client-output-buffer-limit"
            all = adds && all != "" && value != "" ? all " " value : value
        }
        END { if (!found) exit 1; print all }' "$1"
}

# The value that a directive has on a node of this role. Where no text says one, it is the server's own, which the waiting instance told.
value_for() {
    value_in "$work/texts/$1" "$2" || value_in "$work/texts/all" "$2" || cat "$work/texts/before/$2" 2>/dev/null
}

# Asks the waiting instance for the server's own values of what only a role sets, for the day when the role ends.
remember_values() {
    for directive in $(directives "$work/texts/master" "$work/texts/replica"); do
        value_in "$work/texts/all" "$directive" >/dev/null ||
            ask "$here" "$port" --user "$waiting_user" CONFIG GET "$directive" | sed -n 2p | replace "$work/texts/before/$directive"
    done
}

# redis.conf of a node of this role ($1: master or replica) that follows $2. A replica is no candidate of Sentinel's until its first copy is complete: its
# priority comes then.
write_redis_conf() {
    {
        cat "$work/texts/all"
        # Several `save` add up; those of a role replace the others.
        ! value_in "$work/texts/$1" save >/dev/null || echo 'save ""'
        cat "$work/texts/$1"
        printf 'bind %s\nport %s\ndir %s\n' "$bind" "$port" "$(quoted "$data/redis")"
        printf 'protected-mode no\ndaemonize no\n'
        printf 'replica-announce-ip %s\nreplica-announce-port %s\n' "$ISBSVC_NODE" "$port"
        printf 'requirepass %s\nmasterauth %s\n' "$(quoted "$password")" "$(quoted "$password")"
        [ "$1" = master ] || printf 'replica-priority 0\nreplicaof %s %s\n' "$2" "$port"
    } | replace "$data/redis/redis.conf"
}

set_live() {
    told=$(ask "$here" "$port" CONFIG SET "$1" "$2")
    [ "$told" = OK ] || say "$1 cannot be changed while Redis runs ($told); it takes effect when this node starts again"
}

# After a change of role from $1 to $2: what the new role's text says, and for what only the old one said, the value that it had before.
change_settings() {
    for directive in $(directives "$work/texts/$1" "$work/texts/$2"); do
        case " $priorities " in *" $directive "*) continue ;; esac
        set_live "$directive" "$(value_for "$2" "$directive")"
    done
}

# The priority that Sentinel may choose this replica by.
own_priority() {
    for directive in $priorities; do
        value_in "$work/texts/replica" "$directive" && return
    done
    for directive in $priorities; do
        value_in "$work/texts/all" "$directive" && return
    done
    echo 100
}
