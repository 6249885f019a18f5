#!/bin/sh
# Deploys to every backend of a pool, one after the other, without logging anybody out: see -h.

usage() {
    cat <<'END'
rolling-deploy.sh [options] POOL RESTART-COMMAND [ARGUMENT]...
RESTART=LINE rolling-deploy.sh [options] POOL

Each backend of POOL in turn is drained, restarted, and given sessions again
once a health check finds it up. RESTART-COMMAND restarts one backend and ends
with 0 when it is done: it is given the backend's name as its last argument
(LINE, which is for sh, as $1). Backends in maintenance are left alone. Any
failure stops the roll and says how to go on.

  -c FILE        the configuration that homing runs with
  -a ADDRESS     or its admin listener: 127.0.0.1:9900, unix:/run/homing.sock
  -k FILE        the file with the admin listener's token
  -d TIME        sessions that are used for longer than this move then [10m];
                 "none" waits for as long as anybody uses the backend
  -t TIME        stop if a backend is not empty by then [never]
  -u TIME        stop if a backend is not up so long after its restart [1m]
  -f BACKEND     begin with this one, to go on with a roll that was stopped
  -n             only say what would be done
  -h             this

  rolling-deploy.sh -c /etc/homing/config.toml -d 15m app ./restart-on-its-host
  RESTART='systemctl restart "app@$1"' rolling-deploy.sh app

$HOMING is the program [homing].
END
}

say() { printf 'rolling-deploy: %s\n' "$*"; }
wrong() { say "$*" >&2; exit 2; }

homing=${HOMING:-homing}
config='' admin='' token='' deadline=10m timeout='' up=1m first='' dry=''
while getopts c:a:k:d:t:u:f:nh option; do
    case $option in
        c) config=$OPTARG ;;
        a) admin=$OPTARG ;;
        k) token=$OPTARG ;;
        d) deadline=$OPTARG ;;
        t) timeout=$OPTARG ;;
        u) up=$OPTARG ;;
        f) first=$OPTARG ;;
        n) dry=yes ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || { usage >&2; exit 2; }
pool=$1
shift
[ $# -ge 1 ] || [ -n "${RESTART:-}" ] || wrong 'how is a backend restarted? give a command, or $RESTART'

# ask COMMAND [ARGUMENT]...: the homing that is meant.
ask() {
    "$homing" "$@" ${config:+-c "$config"} ${admin:+--admin "$admin"} ${token:+--token-file "$token"}
}

# Empties BACKEND. Interrupted, or out of time, it goes on draining.
drain() {
    if [ "$deadline" = none ]; then set -- "$1" --mode keep; else set -- "$1" --deadline "$deadline"; fi
    ask drain "$@" --wait ${timeout:+--timeout "$timeout"}
}

# stopped BACKEND WHAT: the roll ends here.
stopped() {
    {
        say "stopped at $1: $2"
        say "it takes no new sessions. To go on, the same command with -f '$1'; to have it back as it is:"
        say "    $homing ready '$pool/$1' --as-configured${config:+ -c '$config'}${admin:+ --admin '$admin'}"
    } >&2
    exit 1
}

backends=$(ask status "$pool" --names) || wrong "no list of the backends of $pool"
[ -n "$backends" ] || wrong "pool $pool has no backend to deploy to"
if [ -n "$first" ] && ! printf '%s\n' "$backends" | grep -qxF -e "$first"; then
    wrong "-f $first: no backend of $pool; there are:" $backends
fi

interrupted=''
trap 'interrupted=yes' INT TERM
set -f # Names are not patterns. They have no blanks.
skip=$first
for backend in $backends; do
    [ "$backend" = "$skip" ] && skip=''
    [ -z "$skip" ] || continue
    if [ -n "$dry" ]; then
        say "would drain $backend (deadline: $deadline), restart it, and wait for it to be up"
        continue
    fi
    [ -z "$interrupted" ] || { say "stopped before $backend; to go on: -f '$backend'" >&2; exit 1; }
    say "$backend: drain"
    drain "$pool/$backend" || stopped "$backend" 'it is not empty'
    say "$backend: restart"
    if [ $# -ge 1 ]; then "$@" "$backend"; else sh -c "$RESTART" sh "$backend"; fi </dev/null ||
        stopped "$backend" 'the restart command failed'
    ask ready "$pool/$backend" --as-configured --when-up --timeout "$up" ||
        stopped "$backend" 'it is not up'
done
say 'done'
