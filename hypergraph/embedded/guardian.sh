# guardian DIRECTORY COMMAND... : run a server for as long as somebody holds our stdin open.
#
# Stdin is a pipe whose other end only the owner has. The kernel closes it when the owner ends,
# also by kill -9, and `read` returns. We are in a session of our own, so Ctrl-C at the owner's
# terminal reaches neither us nor the server. DIRECTORY, unless empty, is removed in the end.
#
# Fd 3 of the server is our stdout: the owner reads there what the server reports, and end of
# file means that the server is gone. Stdout and stderr go to the log, which is our stderr.
directory=$1
shift

end() {
    # KILL, not TERM: there is nothing to save, and Redis takes up to 100 ms to notice a TERM.
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    [ -z "$directory" ] || rm -rf -- "$directory"
}
trap end EXIT
trap 'exit 0' HUP INT TERM

"$@" </dev/null 3>&1 >&2 &
server=$!
exec >/dev/null
read -r _
