#!/bin/sh
# Runs the programs of bench/ against ONE_XMLRPC, or against a sandbox cloud that lives as long as they run.
# scripts/bench.sh [NAME...] runs those only.
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python

if [ -z "${ONE_XMLRPC:-}" ]; then
    home=$(mktemp -d)
    trap '$python -m merope.daemon.one stop --home "$home" >/dev/null; rm -rf "$home"' EXIT INT TERM
    port=$($python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    ONE_SERVICES=core $python -m merope.daemon.one start --home "$home" --port "$port" --drivers dummy
    ONE_XMLRPC=$(cat "$home/endpoint")
    ONE_AUTH=$home/.one/one_auth
    export ONE_XMLRPC ONE_AUTH
fi

for program in bench/*.py; do
    name=$(basename "$program" .py)
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    case $name in _*) continue ;; esac
    printf '\n== %s\n' "$name"
    $python "$program"
done
