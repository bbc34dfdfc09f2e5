#!/bin/sh
# Starts and stops a throw-away PostgreSQL server for the tests.
#
#   scripts/postgres.sh [start]   starts it, unless it runs already, and prints its address on standard output:
#                                 export CANOPY_TEST_POSTGRES=$(scripts/postgres.sh)
#   scripts/postgres.sh stop      stops it and removes its files
#
# The files lie in CANOPY_POSTGRES_DIR; unset, in a directory of the user's own under TMPDIR. The server listens on
# a free port of 127.0.0.1 only, asks for a random password and does not wait for the disk, unless
# CANOPY_POSTGRES_DURABLE is set; keep nothing in it.
# Root cannot run PostgreSQL: for root it runs as the user postgres. Where PostgreSQL is missing, root (and anybody
# who may use sudo, in CI) gets it installed with apt-get; everybody else is told what to do.
set -eu
umask 077

dir=${CANOPY_POSTGRES_DIR:-${TMPDIR:-/tmp}/canopy-test-postgres-$(id -u)}

say() { echo "postgres.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

# as_server runs a command as the user who owns the server.
as_server() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

# find_binaries sets bin to the directory of the newest PostgreSQL.
find_binaries() {
	bin=
	for candidate in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -V); do
		if [ -x "$candidate/initdb" ]; then bin=$candidate; fi
	done
	if [ -z "$bin" ] && initdb=$(command -v initdb); then bin=$(dirname "$initdb"); fi
	[ -n "$bin" ]
}

install_binaries() {
	sudo=
	if [ "$(id -u)" != 0 ]; then
		if [ "${CI:-}" != true ] || ! sudo -n true 2>/dev/null; then return 1; fi
		sudo="sudo -n"
	fi
	command -v apt-get >/dev/null || return 1
	say "installing PostgreSQL with apt-get"
	$sudo env DEBIAN_FRONTEND=noninteractive sh -c \
		'apt-get update && apt-get install -y --no-install-recommends postgresql' >&2
}

# claim makes the directory, or makes sure that an existing one is ours: others can write to /tmp as well.
claim() {
	mkdir -p "$dir"
	owner=$(id -u)
	if [ "$owner" = 0 ]; then
		owner=$(id -u postgres)
		if [ "$(owner_of_dir)" = 0 ]; then chown -h postgres "$dir"; fi
	fi
	[ "$(owner_of_dir)" = "$owner" ] || fail "$dir belongs to somebody else; set CANOPY_POSTGRES_DIR"
	chmod 700 "$dir"
}

owner_of_dir() { ls -ldn "$dir" | awk '{print $3}'; }

running() { [ -s "$dir/url" ] && as_server "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; }

make_cluster() {
	rm -rf "$dir/data" "$dir/url"
	password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	printf '%s\n' "$password" | as_server sh -c 'umask 077; cat >"$1"' sh "$dir/password"
	as_server "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C --no-sync \
		--auth=scram-sha-256 --pwfile="$dir/password" >/dev/null
	as_server sh -c 'cat >>"$1"' sh "$dir/data/postgresql.conf" <<-SETTINGS
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		max_connections = 200
	SETTINGS
	if [ -z "${CANOPY_POSTGRES_DURABLE:-}" ]; then
		as_server sh -c 'cat >>"$1"' sh "$dir/data/postgresql.conf" <<-SETTINGS
			fsync = off
			synchronous_commit = off
			full_page_writes = off
		SETTINGS
	fi
}

# launch tries ports until one is free.
launch() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
		if as_server "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "-p $port" -w start >/dev/null 2>&1; then
			echo "postgres://postgres:$password@127.0.0.1:$port/postgres?sslmode=disable" |
				as_server sh -c 'umask 077; cat >"$1"' sh "$dir/url"
			return
		fi
	done
	if [ -f "$dir/log" ]; then tail -n 20 "$dir/log" >&2; fi
	fail "the server does not start"
}

start() {
	find_binaries || { install_binaries && find_binaries; } ||
		fail "PostgreSQL is not installed. Install it (initdb and postgres), or set CANOPY_TEST_POSTGRES to a server of yours."
	claim
	if ! running; then
		make_cluster
		launch
	fi
	cat "$dir/url"
}

stop() {
	if [ ! -d "$dir" ]; then return; fi
	claim
	if find_binaries && running; then as_server "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null; fi
	rm -rf "$dir"
}

case ${1:-start} in
start) start ;;
stop) stop ;;
*) fail "usage: $0 [start|stop]" ;;
esac
