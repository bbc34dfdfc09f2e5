#!/bin/sh
# Measures Canopy; docs/benchmarks.md explains what and how. BENCH_DIR keeps the data sets of SQLite, the server keeps
# those of PostgreSQL: it is one that waits for the disk, and it is left running for the next time. Stop it with
#   CANOPY_POSTGRES_DIR=... scripts/postgres.sh stop
# or name a server of your own in BENCH_POSTGRES, or set BENCH_POSTGRES=none.
set -eu
cd "$(dirname "$0")/.."

CANOPY_POSTGRES_DIR=${CANOPY_POSTGRES_DIR:-${TMPDIR:-/tmp}/canopy-bench-postgres-$(id -u)}
export CANOPY_POSTGRES_DIR
case ${BENCH_POSTGRES:-} in
none) unset BENCH_POSTGRES ;;
'')
	BENCH_POSTGRES=$(CANOPY_POSTGRES_DURABLE=yes ./scripts/postgres.sh)
	export BENCH_POSTGRES
	echo "PostgreSQL stays running; stop it with CANOPY_POSTGRES_DIR=$CANOPY_POSTGRES_DIR scripts/postgres.sh stop" >&2
	;;
esac
if [ ! -d bench/yoga/node_modules ]; then
	(cd bench/yoga && npm ci --no-audit --no-fund) || echo "graphql-yoga cannot be installed and is left out." >&2
fi
exec "${GO:-go}" run ./bench
