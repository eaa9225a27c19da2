# shellcheck shell=sh disable=SC2034,SC2154 # they share their variables
# The record of what this node's data are: epoch, replication id, offset, time, role. After a full stop Redis itself no longer knows the offset, and the
# records say which copy is the most advanced.

read_record() {
    read -r record_epoch record_replid record_offset record_time record_role 2>/dev/null <"$data/isbsvc/record" || return 1
    case $record_epoch$record_offset in '' | *[!0-9]*) return 1 ;; esac
    : "$record_time" "$record_role"
}

# write_record EPOCH REPLID OFFSET ROLE
write_record() {
    printf '%s %s %s %s %s\n' "$1" "$2" "$3" "$(date +%s)" "$4" >"$data/isbsvc/record.new" && mv -f "$data/isbsvc/record.new" "$data/isbsvc/record"
    record_epoch=$1 record_replid=$2
}

# Asks this node's Redis for what the record and the role depend on: sets role, link, follows, offset, replid, loading, unsaved, aof.
look_here() {
    ask "$here" "$port" INFO >"$work/info" || return 1
    # shellcheck disable=SC2046 # words
    set -- $(info_facts <"$work/info")
    role=$1 link=$2 follows=$3 offset=$4 replid=$5 loading=$6 unsaved=$7 aof=$8
    [ "$role" != - ] && [ "$loading" = 0 ]
}

# Sets known_master and known_epoch to what this node's Sentinel knows, where that is newer. Its file tells at once when there is another master. A newer epoch
# of the same master it writes only with its next other change, so it is asked for that, less often, because a question costs more than a look.
looks=0
look_at_sentinel() {
    looks=$((looks + 1))
    # shellcheck disable=SC2046 # words
    set -- $(sentinel_file_facts)
    newer "$1" "$2"
    [ $((looks % 5)) -eq 0 ] || return 0
    # shellcheck disable=SC2046 # words
    set -- $(ask "$here" "$sentinel_port" SENTINEL MASTER "$name" | sentinel_facts)
    newer "$1" "$2"
}

newer() {
    [ "$1" = - ] || [ "$2" -lt "$known_epoch" ] || { known_master=$1 known_epoch=$2; }
}

# Whether the data here are those of the known epoch: of its master, or a replica's whose copy of it is complete.
is_current() {
    case $role in
    master) [ "$known_master" = "$ISBSVC_NODE" ] ;;
    *) [ "$link" = up ] && [ "$follows" = "$known_master" ] ;;
    esac
}

# Writes the record where it is true of what is on the disk. Data of another history count only once they are there whole: while a first copy is still being
# rewritten into the AOF, the disk holds the old data. Without an AOF the disk holds what was saved last.
record() {
    if [ "$replid" = "$record_replid" ]; then
        [ "$aof" = 1 ] || [ "$unsaved" = 0 ] || return 0
        if is_current; then write_record "$known_epoch" "$replid" "$offset" "$role"; else write_record "$record_epoch" "$replid" "$offset" "$role"; fi
    elif is_current && [ "$unsaved" = 0 ]; then
        [ -e "$data/isbsvc/initialised" ] || : >"$data/isbsvc/initialised"
        write_record "$known_epoch" "$replid" "$offset" "$role"
    fi
}
