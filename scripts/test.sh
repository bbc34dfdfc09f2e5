#!/usr/bin/env bash
# Runs all Go tests with the race detector: on SQLite always, on PostgreSQL if CANOPY_TEST_POSTGRES names a server or
# one can be started here. With CI=true a missing PostgreSQL is a failure. PACKAGES names some packages instead of all; RACE= leaves the race detector out.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${CANOPY_TEST_POSTGRES:-}" ]; then
  # A server of this run's own: another run must not stop it half-way.
  CANOPY_POSTGRES_DIR=$(mktemp -d)
  export CANOPY_POSTGRES_DIR
  if url=$(./scripts/postgres.sh start); then
    export CANOPY_TEST_POSTGRES=$url
    trap './scripts/postgres.sh stop' EXIT
  elif [ "${CI:-}" = true ]; then
    echo "No PostgreSQL could be started, and CI is not complete without one." >&2
    exit 1
  else
    echo "No PostgreSQL found: testing on SQLite alone. Install PostgreSQL or set CANOPY_TEST_POSTGRES to test on both." >&2
  fi
fi
go test ${RACE--race} -timeout 30m "$@" ${PACKAGES:-./...}
