#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs once in the PostgreSQL container, on an empty database: the services' login roles. What each
# may touch is granted by the services' own migrations.
set -euo pipefail

for role in user video job; do
    password=REEL_PG_PASSWORD_${role^^}
    psql -XAq -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<SQL
create role reel_$role login password '${!password}';
SQL
done
