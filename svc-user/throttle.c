// SPDX-License-Identifier: Apache-2.0
#include "svc-user/throttle.h"

#include <arpa/inet.h>
#include <string.h>

// The parameters' order in all statements: account, network, failures, window.
#define KEY     "sha256(convert_to($2::text || ' ' || lower($1::text), 'UTF8'))"
#define EXPIRED "f.since <= now() - make_interval(secs => $4::bigint)"

enum { IPV6_NETWORK_BYTES = 8 };

// An address that is none counts as one like any other.
static void network_of(const char *address, char ret_network[INET6_ADDRSTRLEN])
{
    unsigned char bytes[16];

    ret_network[0] = '\0';
    if (inet_pton(AF_INET, address, bytes) == 1) {
        inet_ntop(AF_INET, bytes, ret_network, INET6_ADDRSTRLEN);
    } else if (inet_pton(AF_INET6, address, bytes) == 1) {
        memset(bytes + IPV6_NETWORK_BYTES, 0, sizeof(bytes) - IPV6_NETWORK_BYTES);
        inet_ntop(AF_INET6, bytes, ret_network, INET6_ADDRSTRLEN);
    }
}

// Runs a statement with the first `n_params` of the parameters.
static int run(const struct store *db, const char *sql, size_t n_params,
               const struct throttle_key *key, struct reel_pg_rows *ret_rows)
{
    char network[INET6_ADDRSTRLEN];

    network_of(key->address, network);
    const reel_pg_param params[] = {
        key->account,
        network,
        reel_pg_int(db->arena, THROTTLE_FAILURES),
        reel_pg_int(db->arena, THROTTLE_WINDOW_S),
    };
    return reel_pg_query(db->pg, db->deadline_us, db->arena, sql, n_params, params, ret_rows);
}

static int read_wait(const struct store *db, const struct throttle_key *key, uint32_t *ret_wait_ms)
{
    static const char sql[] =
        "SELECT ceil(extract(epoch FROM f.since + make_interval(secs => $4::bigint) - now())"
        " * 1000)::bigint FROM login_failures f"
        " WHERE f.key = " KEY " AND f.failures >= $3::bigint";
    struct reel_pg_rows rows;
    int rc = run(db, sql, 4, key, &rows);

    if (rc != REEL_OK)
        return rc;
    int64_t wait_ms = rows.n_rows > 0 ? reel_pg_i64(&rows, 0, 0) : 0;
    *ret_wait_ms = wait_ms > 0 ? (uint32_t)wait_ms : 1;
    return REEL_OK;
}

int throttle_attempt(const struct store *db, const struct throttle_key *key, uint32_t *ret_wait_ms)
{
    static const char sql[] =
        "INSERT INTO login_failures AS f (key, failures, since) VALUES (" KEY ", 1, now())"
        " ON CONFLICT (key) DO UPDATE SET"
        " failures = CASE WHEN " EXPIRED " THEN 1 ELSE f.failures + 1 END,"
        " since = CASE WHEN " EXPIRED " THEN now() ELSE f.since END"
        " WHERE f.failures < $3::bigint OR " EXPIRED;
    struct reel_pg_rows rows;

    *ret_wait_ms = 0;
    if (!key->address)
        return REEL_OK;
    int rc = run(db, sql, 4, key, &rows);
    if (rc != REEL_OK || rows.affected > 0)
        return rc;
    return read_wait(db, key, ret_wait_ms);
}

int throttle_refund(const struct store *db, const struct throttle_key *key)
{
    static const char sql[] = "UPDATE login_failures SET failures = failures - 1"
                              " WHERE key = " KEY " AND failures > 0";

    return key->address ? run(db, sql, 2, key, NULL) : REEL_OK;
}

int throttle_succeeded(const struct store *db, const struct throttle_key *key)
{
    static const char sql[] = "DELETE FROM login_failures WHERE key = " KEY;

    return key->address ? run(db, sql, 2, key, NULL) : REEL_OK;
}

int throttle_sweep(const struct store *db, int64_t limit, int64_t *ret_n)
{
    static const char sql[] = "DELETE FROM login_failures WHERE key IN (SELECT key"
                              " FROM login_failures"
                              " WHERE since < now() - make_interval(secs => $1::bigint)"
                              " LIMIT $2::bigint FOR UPDATE SKIP LOCKED)";
    const reel_pg_param params[] = {reel_pg_int(db->arena, THROTTLE_WINDOW_S),
                                    reel_pg_int(db->arena, limit)};
    struct reel_pg_rows rows;
    int rc = reel_pg_query(db->pg, db->deadline_us, db->arena, sql, REEL_ARRAY_SIZE(params), params,
                           &rows);

    if (rc == REEL_OK)
        *ret_n = rows.affected;
    return rc;
}
