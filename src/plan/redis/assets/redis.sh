#!/bin/sh
# Entry of the container `redis`: finds this node's role, runs Redis in it, and records what it has.

scripts=${0%/*}
# shellcheck source=common.sh
. "$scripts/common.sh"
# shellcheck source=texts.sh
. "$scripts/texts.sh"
# shellcheck source=record.sh
. "$scripts/record.sh"
# shellcheck source=waiting.sh
. "$scripts/waiting.sh"

peer_wait=${ISBSVC_PEER_WAIT:-60}
# Seconds for which a vote stands though the one who has it cannot be reached: it may be on its way from waiting to running.
vote_hold=${ISBSVC_VOTE_HOLD:-15}
say_every=30

stopping=
waiting=
redis=
trap 'stopping=1' TERM INT

now() {
    date +%s
}

# false: the controller knows that the service is new; true: that it is not; otherwise it does not say.
is_new() {
    case $(cat "$home/state/initialised" 2>/dev/null) in
    true) echo true ;;
    false) echo false ;;
    *) echo unsaid ;;
    esac
}

# Waits until it is clear who is master: sets leader, known_epoch and elected.
find_role() {
    began=$(now)
    said=0 said_why='' seen_vote=$began
    start_waiting
    remember_values
    while [ -z "$stopping" ]; do
        own_state
        publish
        look
        at=$(now)
        [ -z "$(awk -v node="$vote_for" '$1 == node && $2 != "gone"' "$work/table")" ] || seen_vote=$at
        force=0
        [ ! -e "$data/isbsvc/force-master" ] || force=1
        decide "$(is_new)" $((at - began)) "$peer_wait" $((at - seen_vote < vote_hold)) "$force" >"$work/decision"
        {
            read -r verdict
            read -r leader known_epoch
            read -r new_term new_vote
            read -r why
        } <"$work/decision" || die "the decision cannot be read"
        elected=
        if [ "$new_term $new_vote" != "$vote_term $vote_for" ]; then
            # On the volume first: a node that starts again must not vote twice in a term.
            printf '%s %s\n' "$new_term" "$new_vote" | replace "$data/isbsvc/vote"
            [ "$new_vote" = - ] || [ "$new_vote" = "$ISBSVC_NODE" ] || say "votes for $new_vote in term $new_term"
            vote_term=$new_term vote_for=$new_vote
            seen_vote=$at
            publish
        fi
        case $verdict in
        lead)
            say "becomes master with epoch $known_epoch: $why"
            elected=1
            break
            ;;
        follow)
            say "becomes a replica of $leader: $why"
            [ "$vote_for" != "$leader" ] || [ "$vote_term" != "$known_epoch" ] || elected=1
            break
            ;;
        esac
        # What changes is said at once, what stays so every half minute; a count that goes on is no change.
        stays=$(printf '%s' "$why" | sed 's/[0-9][0-9]* of [0-9]* s//')
        if [ "$stays" != "$said_why" ] || [ $((at - said)) -ge "$say_every" ]; then
            say "waits: $why"
            said=$at said_why=$stays
        fi
        second
    done
    stop_waiting
}

# Starts Redis in the role that was found.
start_redis() {
    known_master=$leader
    if [ "$leader" = "$ISBSVC_NODE" ]; then
        acted=master synced=1
        # Whatever is written from now on belongs to the new epoch; its offsets begin anew.
        write_record "$known_epoch" - 0 master
        : >"$data/isbsvc/initialised"
    else
        acted=replica synced=
        [ ! -e "$data/isbsvc/force-master" ] || say "force-master is ignored: $leader is the master"
        read_record || record_epoch=0
        record_replid=-
    fi
    rm -f "$data/isbsvc/force-master"
    write_redis_conf "$acted" "$leader"
    # Sentinel begins with it where it knows nothing newer.
    [ -z "$elected" ] || printf '%s %s\n' "$known_epoch" "$leader" | replace "$data/isbsvc/elected"
    "$server" "$data/redis/redis.conf" &
    redis=$!
    started=$(now)
}

stop_redis() {
    if look_here; then
        # Nothing is written after the record.
        [ "$role" != master ] || ask "$here" "$port" CLIENT PAUSE 10000 WRITE >/dev/null
        look_here && record
    fi
    kill -TERM "$redis" 2>/dev/null
    await "$redis"
    status=$?
    redis=
}

# A change of role that Sentinel made: the settings of the role follow it.
follow_role() {
    case $role in master) is=master ;; *) is=replica ;; esac
    if [ "$is" != "$acted" ]; then
        say "is now $is (epoch $known_epoch)"
        # Until its copy of the new master's data is complete, it is no candidate.
        [ "$is" = master ] || { synced='' && set_live replica-priority 0; }
        change_settings "$acted" "$is"
        acted=$is
    fi
    if [ -z "$synced" ] && [ "$is" = replica ] && [ "$link" = up ]; then
        set_live replica-priority "$(own_priority)"
        synced=1
    fi
}

# A replica without a complete copy whose master is gone has nothing to stay for, and one that a Sentinel has never seen is led to the master by nobody.
check_master() {
    if [ "$role" = master ] || { [ "$link" = up ] && [ "$follows" = "$known_master" ]; }; then
        lost=
        return 0
    fi
    [ -n "$lost" ] || lost=$(now)
    [ $(($(now) - lost)) -ge "$peer_wait" ] || return 0
    lost=
    if [ "$follows" != "$known_master" ]; then
        case $(ask "$known_master" "$port" INFO replication) in
        *role:master*)
            say "follows $follows, but the master is $known_master: follows that"
            ask "$here" "$port" REPLICAOF "$known_master" "$port" >/dev/null
            ;;
        esac
    elif [ -z "$synced" ]; then
        case $(ask "$follows" "$port" INFO replication) in
        *role:master*) ;;
        *) again="its copy is not complete, and $follows is no master any more" ;;
        esac
    fi
}

# Runs Redis until it ends, or until this node has to ask again for its role.
run() {
    again='' lost=''
    while [ -z "$stopping" ] && [ -z "$again" ]; do
        if ! kill -0 "$redis" 2>/dev/null; then
            await "$redis"
            status=$?
            die "Redis ended with status $status, $(($(now) - started)) s after its start"
        fi
        if look_here; then
            look_at_sentinel
            follow_role
            record
            check_master
            [ ! -e "$data/isbsvc/force-master" ] || [ "$link" != down ] || again="a person wants it to become master"
        fi
        [ -n "$stopping" ] || second
    done
    stop_redis
}

read_settings
until [ -n "$stopping" ]; do
    find_role
    [ -z "$stopping" ] || exit 0
    start_redis
    run
    [ -n "$stopping" ] || say "asks for its role again: $again"
done
exit "${status:-0}"
