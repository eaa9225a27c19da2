# shellcheck shell=sh disable=SC2034,SC2154 # they share their variables
# A node that does not know its role yet: an empty Redis on the ordinary port tells the other nodes what this one has and whom it votes for. Only the user
# `isbsvc` may ask it, so clients cannot write to it, replicas cannot copy it, and Sentinels take it for down.

start_waiting() {
    {
        printf 'bind %s\nport %s\ndir %s\n' "$bind" "$port" "$(quoted "$work")"
        printf 'protected-mode no\ndaemonize no\nappendonly no\nsave ""\nloglevel warning\n'
        printf 'user default off\nuser %s on %s ~isbsvc:* +get +set +ping +config|get\n' "$waiting_user" "$(quoted ">$password")"
    } | replace "$data/isbsvc/waiting.conf"
    "$server" "$data/isbsvc/waiting.conf" >"$work/waiting.log" 2>&1 &
    waiting=$!
    until [ "$(ask "$here" "$port" --user "$waiting_user" PING)" = PONG ]; do
        if ! kill -0 "$waiting" 2>/dev/null; then
            cat "$work/waiting.log" >&2
            die "$server does not start"
        fi
        [ -z "$stopping" ] || return 0
        nap 0.1
    done
}

# It holds nothing that would have to be saved.
stop_waiting() {
    kill -9 "$waiting" 2>/dev/null
    await "$waiting" 2>/dev/null
    waiting=
}

# What this node has: whether there are data, of which epoch, up to which offset; and the newest epoch that it knows.
own_state() {
    own_data=0
    own_epoch=0
    own_offset=0
    if [ -e "$data/isbsvc/initialised" ] && [ -n "$(find "$data/redis" -type f ! -name 'redis.conf*' ! -name 'temp*' | sed 1q)" ]; then
        own_data=1
        read_record && own_epoch=$record_epoch && own_offset=$record_offset
    fi
    read -r vote_term vote_for 2>/dev/null <"$data/isbsvc/vote" || vote_term=0 vote_for=-
    # shellcheck disable=SC2046 # three words
    set -- $(sentinel_file_facts)
    own_known=$(largest "$2" "$3" "$own_epoch" "$vote_term")
}

largest() {
    most=0
    for number in "$@"; do
        case $number in '' | *[!0-9]*) continue ;; esac
        [ "$number" -le "$most" ] || most=$number
    done
    printf '%s\n' "$most"
}

publish() {
    ask "$here" "$port" --user "$waiting_user" SET isbsvc:state \
        "state $own_data $own_epoch $own_offset $own_known $vote_term $vote_for" >/dev/null
}

# Asks all Redis and all Sentinels at once, and writes a table with a line for each node:
# node, mode (gone, waiting, master, slave), link, whom it follows, Sentinel's master and its epoch, data, epoch, offset, newest epoch known, vote (term, for).
look() {
    rm -rf "$work/asked"
    mkdir -p "$work/asked"
    asking_all=
    for node in $ISBSVC_NODES; do
        exec_ask "$(reach "$node")" "$sentinel_port" SENTINEL MASTER "$name" >"$work/asked/sentinel.$node" 2>&1 &
        asking_all="$asking_all $!"
        if [ "$node" != "$ISBSVC_NODE" ]; then
            exec_ask "$node" "$port" INFO >"$work/asked/redis.$node" 2>&1 &
            asking_all="$asking_all $!"
            exec_ask "$node" "$port" --user "$waiting_user" GET isbsvc:state >"$work/asked/waiting.$node" 2>&1 &
            asking_all="$asking_all $!"
        fi
    done
    # shellcheck disable=SC2086 # a list of numbers
    guard "$patience" $asking_all
    for asked in $asking_all; do
        await "$asked"
    done
    unguard
    for node in $ISBSVC_NODES; do
        mode=gone its_link=- its_master=- state='0 0 0 0 0 -'
        if [ "$node" = "$ISBSVC_NODE" ]; then
            mode=waiting state="$own_data $own_epoch $own_offset $own_known $vote_term $vote_for"
        elif state_found=$(sed -n 's/\r$//; s/^state //p' "$work/asked/waiting.$node" | sed 1q) && [ -n "$state_found" ]; then
            mode=waiting state=$state_found
        else
            # shellcheck disable=SC2046 # words
            set -- $(info_facts <"$work/asked/redis.$node")
            case $1 in master | slave) mode=$1 its_link=$2 its_master=$3 ;; esac
        fi
        printf '%s %s %s %s %s %s\n' "$node" "$mode" "$its_link" "$its_master" "$(sentinel_facts <"$work/asked/sentinel.$node")" "$state"
    done | replace "$work/table"
}

# Decides by the table, in four lines: the verdict (wait, follow, lead), the master and its epoch, this node's vote (term, for), and why.
decide() {
    awk -v me="$ISBSVC_NODE" -v majority="$majority" -v new="$1" -v waited="$2" -v patience="$3" -v hold="$4" -v force="$5" '
        function better(a, b) {
            if (data[a] != data[b]) return data[a] > data[b]
            if (epoch[a] != epoch[b]) return epoch[a] > epoch[b]
            if (offset[a] != offset[b]) return offset[a] > offset[b]
            return a < b
        }
        # A term belongs to the node that claims it: its last two digits are the ordinal. Sentinels go on from it in steps of one.
        function term(step) { return (int(top / step) + 1) * step + (i_am - 1) }
        function list(test,   j, text) {
            for (j = 1; j <= n; j++) if (mode[j] == test) text = text " " node[j]
            return text == "" ? " none" : text
        }
        function end(verdict, leader, at, why) {
            printf "%s\n%s %.0f\n%.0f %s\n%s\n", verdict, leader, at, my_term, my_vote, why
            done = 1
            exit
        }
        {
            n++
            node[n] = $1; mode[n] = $2; link[n] = $3; follows[n] = $4; names[n] = $5; named_at[n] = $6 + 0
            data[n] = $7 + 0; epoch[n] = $8 + 0; offset[n] = $9 + 0; voted[n] = $11 + 0; vote[n] = $12
            number[$1] = n
            if ($1 == me) i_am = n
            for (f = 6; f <= 11; f++) if (f != 7 && f != 9 && $f + 0 > top) top = $f + 0
        }
        END {
            if (done) exit
            my_term = voted[i_am]; my_vote = vote[i_am]
            for (j = 1; j <= n; j++) {
                if (names[j] != "-" && (names[j] in number)) {
                    count[names[j]]++
                    if (named_at[j] > agreed_at[names[j]] + 0) agreed_at[names[j]] = named_at[j]
                }
                if (mode[j] == "waiting") { present++; if (data[j]) with_data++ }
                if (mode[j] == "master") masters++
                if (mode[j] == "slave") slaves++
            }
            # Whom a majority of the Sentinels names. A node whose own Sentinel is silent counts for a running master that is not behind its own data.
            for (host in count) {
                j = number[host]
                if (count[host] + (names[i_am] == "-" && mode[j] == "master" && masters == 1 && agreed_at[host] >= epoch[i_am]) >= majority) agreed = j
            }
            if (agreed && agreed != i_am && mode[agreed] == "master") {
                if (!data[i_am] || agreed_at[node[agreed]] >= epoch[i_am])
                    { leader = agreed; at = agreed_at[node[agreed]]; why = "a majority of the Sentinels names it" }
                else behind = node[agreed] " is behind"
            }
            # Whom this node voted for, once that one runs.
            j = number[my_vote]
            if (j && j != i_am && mode[j] == "master" && my_term > epoch[i_am] && my_term > at + 0)
                { leader = j; at = my_term; why = "this node voted for it" }
            # Without data nothing is lost by following the only one that runs, if its own Sentinel names it and none names another.
            if (!leader && !data[i_am] && masters == 1) {
                for (j = 1; j <= n; j++) if (mode[j] == "master") only = j
                others = 0
                for (j = 1; j <= n; j++) if (names[j] != "-" && names[j] != node[only] && named_at[j] >= agreed_at[node[only]] + 0) others++
                if (names[only] == node[only] && !others)
                    { leader = only; at = agreed_at[node[only]]; why = "this node has no data, and no other node is a master" }
            }
            if (leader) end("follow", node[leader], at, why)
            if (force && !masters) end("lead", me, term(10000), "a person said so")
            if (masters || slaves) {
                if (agreed == i_am) {
                    if (waited >= patience && data[i_am] && epoch[i_am] >= agreed_at[me] && !masters)
                        end("lead", me, term(100), "the Sentinels name it, and could not promote another node in " waited " s")
                    # Not by SENTINEL FAILOVER: it asks no other Sentinel, and beside a failover that is under way it would make a second master.
                    end("wait", "-", 0, "the Sentinels name this node, which was down; they are to promote a node whose copy never stopped")
                }
                end("wait", "-", 0, (behind == "" ? "not a majority of the Sentinels names one running master" : behind) \
                    "; as master runs:" list("master") "; as replica:" list("slave") "; cannot be reached:" list("gone"))
            }
            best = i_am
            for (j = 1; j <= n; j++) if (mode[j] == "waiting" && better(j, best)) best = j
            # Nobody runs. A claim of this node stands while it is the best of all, or of a majority with data once the others had their time.
            all = present == n
            if (with_data) may = all || (waited >= patience && with_data >= majority)
            else if (new == "false" && i_am == 1) end("lead", me, term(100), "the service is new")
            else may = all || (waited >= patience && new != "true" && present >= majority && best == 1)
            if (may && best == i_am) {
                stands = my_vote == me && my_term > 0
                for (j = 1; j <= n; j++)
                    if (j != i_am && (voted[j] > my_term || epoch[j] >= my_term || named_at[j] >= my_term)) stands = 0
                if (epoch[i_am] >= my_term || named_at[i_am] >= my_term) stands = 0
                if (!stands) { my_term = term(100); my_vote = me }
                for (j = 1; j <= n; j++) if (mode[j] == "waiting" && (j == i_am ? my_vote : vote[j]) == me && (j == i_am ? my_term : voted[j]) == my_term) votes++
                if (votes >= majority)
                    end("lead", me, my_term, with_data ? "its copy is the most advanced (epoch " epoch[i_am] ", offset " sprintf("%.0f", offset[i_am]) ") of " present " of " n " nodes, and " votes " voted for it" \
                        (all ? "" : "; missing:" list("gone")) : "no node has data")
                end("wait", "-", 0, "this node is the most advanced and waits for the votes of a majority, " votes + 0 " of " majority " so far")
            }
            if (my_vote == me) my_vote = "-"
            # A vote stands while the one who has it claims it, or may be on its way from waiting to running.
            j = number[my_vote]
            held = j && ((mode[j] == "waiting" && vote[j] == my_vote && voted[j] == my_term) || (mode[j] == "gone" && hold))
            if (!held)
                for (j = 1; j <= n; j++)
                    if (j != i_am && mode[j] == "waiting" && vote[j] == node[j] && voted[j] > my_term && voted[j] > epoch[i_am] && better(j, i_am))
                        { my_term = voted[j]; my_vote = node[j] }
            # A Sentinel majority that names this node, and nobody else here: nobody else can have become master since.
            if (agreed == i_am && data[i_am] && epoch[i_am] >= agreed_at[me] && waited >= patience && present < majority)
                end("lead", me, term(100), "the Sentinels name it, and no other node runs; missing:" list("gone"))
            if (present < majority || (!all && with_data < majority && (with_data || new == "true")))
                end("wait", "-", 0, present " of " n " nodes are here, " with_data + 0 " of them with data, and a majority is " majority "; missing:" list("gone") \
                    "; if they never come back, a person decides: `touch " force_file "` in the node with the best copy makes it the master")
            if (!may) end("wait", "-", 0, "for all nodes, since " waited " of " patience " s; missing:" list("gone"))
            end("wait", "-", 0, "the most advanced copy is on " node[best] ", which is about to become master")
        }' force_file="$data/isbsvc/force-master" "$work/table"
}
