# What the actions of this driver share. A place is HOST:PATH; "here" is any name of this machine.

fail() {
    printf 'ERROR MESSAGE --8<------\n%s\nERROR MESSAGE ------>8--\n' "$*" >&2
    exit 1
}

host_of() { printf '%s' "${1%%:*}"; }
path_of() { printf '%s' "${1#*:}"; }

# on HOST WORD... : runs a command there
on() {
    where=$1
    shift
    if [ "$where" = "$(hostname)" ] || [ "$where" = localhost ]; then
        "$@"
    else
        # Every word in quotes: the shell over there reads none of them.
        line=
        for word in "$@"; do
            line="$line '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
        done
        ssh "$where" "$line"
    fi
}

# copy FROM TO : a file (holes kept) or directory, whole before it gets its name; places on one machine only
copy() {
    [ "$(host_of "$1")" = "$(host_of "$2")" ] || fail "this sample copies on one machine only: $1 $2"
    to=$(path_of "$2")
    on "$(host_of "$2")" mkdir -p "$(dirname "$to")"
    on "$(host_of "$2")" cp -r --sparse=always "$(path_of "$1")" "$to.part" || fail "$1 could not be copied to $2"
    on "$(host_of "$2")" mv -T "$to.part" "$to"
}
