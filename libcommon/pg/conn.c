// SPDX-License-Identifier: Apache-2.0
#include "libcommon/pg/conn.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/obs/log.h"

enum { CONNECT_TIMEOUT_US = 5 * 1000 * 1000, LONGEST_POLL_MS = 60 * 1000 };

static void clear_result(PGresult **result)
{
    PQclear(*result);
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

// Waits for `events` on the socket. REEL_DEADLINE_EXCEEDED when they do not come in time.
static int wait_socket(PGconn *pg, short events, int64_t deadline_us)
{
    for (;;) {
        struct pollfd fd = {.fd = PQsocket(pg), .events = events};
        int left_ms = reel_deadline_left_ms(deadline_us, LONGEST_POLL_MS);
        int n = poll(&fd, 1, left_ms);

        if (n > 0)
            return REEL_OK;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && reel_deadline_passed(deadline_us))
            return REEL_DEADLINE_EXCEEDED;
    }
}

static int finish_connecting(PGconn *pg, int64_t deadline_us)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK) {
        int rc = wait_socket(pg, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us);

        if (rc != REEL_OK)
            return rc;
        status = PQconnectPoll(pg);
        if (status == PGRES_POLLING_FAILED)
            return REEL_UNAVAILABLE;
    }
    return REEL_OK;
}

static int connect_to(PGconn *pg, int64_t deadline_us)
{
    int64_t own_us = reel_deadline_in_us(CONNECT_TIMEOUT_US);

    if (PQstatus(pg) == CONNECTION_BAD)
        return REEL_UNAVAILABLE;
    int rc = finish_connecting(pg, deadline_us < own_us ? deadline_us : own_us);
    if (rc == REEL_DEADLINE_EXCEEDED && own_us <= deadline_us)
        rc = REEL_UNAVAILABLE;
    if (rc == REEL_OK && PQsetnonblocking(pg, 1) != 0)
        rc = REEL_UNAVAILABLE;
    return rc;
}

int reel_pg_conn_open(const char *const *keywords, const char *const *values, int64_t deadline_us,
                      struct reel_pg_conn **ret_conn)
{
    struct reel_pg_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return -ENOMEM;
    conn->pg = PQconnectStartParams(keywords, values, 1);
    if (!conn->pg) {
        free(conn);
        return -ENOMEM;
    }

    int rc = connect_to(conn->pg, deadline_us);
    if (rc != REEL_OK) {
        reel_log(REEL_LOG_DEBUG, "pg.connect_failed", REEL_FS("error", PQerrorMessage(conn->pg)));
        reel_pg_conn_close(conn);
        return rc;
    }
    PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
    *ret_conn = conn;
    return REEL_OK;
}

void reel_pg_conn_close(struct reel_pg_conn *conn)
{
    for (size_t i = 0; i < REEL_PG_MAX_STATEMENTS; i++)
        free(conn->statements[i].sql);
    PQfinish(conn->pg);
    free(conn);
}

bool reel_pg_conn_is_quiet(struct reel_pg_conn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};

    return poll(&fd, 1, 0) == 0;
}

const char *reel_pg_conn_error(const struct reel_pg_conn *conn)
{
    return PQerrorMessage(conn->pg);
}

// The connection is of no use any more: what was under way has an unknown outcome.
static int give_up(struct reel_pg_conn *conn, int rc)
{
    conn->dead_rc = rc < 0 ? REEL_UNAVAILABLE : rc;
    return conn->dead_rc;
}

static int flush(struct reel_pg_conn *conn)
{
    int pending;

    while ((pending = PQflush(conn->pg)) == 1) {
        int rc = wait_socket(conn->pg, POLLIN | POLLOUT, conn->deadline_us);

        if (rc != REEL_OK)
            return rc;
        // The server may stop reading until its own answer has been taken.
        if (!PQconsumeInput(conn->pg))
            return REEL_UNAVAILABLE;
    }
    return pending == 0 ? REEL_OK : REEL_UNAVAILABLE;
}

static int next_result(struct reel_pg_conn *conn, PGresult **ret_result)
{
    while (PQisBusy(conn->pg)) {
        int rc = wait_socket(conn->pg, POLLIN, conn->deadline_us);

        if (rc != REEL_OK)
            return rc;
        if (!PQconsumeInput(conn->pg))
            return REEL_UNAVAILABLE;
    }
    *ret_result = PQgetResult(conn->pg);
    return REEL_OK;
}

static int outcome_of_result(struct reel_pg_conn *conn, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
        return REEL_OK;

    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    snprintf(conn->constraint, sizeof(conn->constraint), "%s", constraint ? constraint : "");
    int rc = status == PGRES_FATAL_ERROR ? reel_pg_outcome_of(sqlstate) : -EPROTO;
    if (rc < 0)
        reel_log(REEL_LOG_DEBUG, "pg.fault", REEL_FS("sqlstate", sqlstate),
                 REEL_FS("error", PQresultErrorMessage(result)));
    return rc;
}

// Takes every result of what was sent; keeps the last good one, or the first failure.
static int collect(struct reel_pg_conn *conn, PGresult **ret_result)
{
    int outcome = REEL_OK;

    for (;;) {
        PGresult *result = NULL;
        int rc = next_result(conn, &result);

        if (rc != REEL_OK)
            return give_up(conn, rc);
        if (!result)
            break;
        if (outcome == REEL_OK)
            outcome = outcome_of_result(conn, result);
        PQclear(*ret_result);
        *ret_result = result;
    }
    if (PQstatus(conn->pg) != CONNECTION_OK)
        return give_up(conn, REEL_UNAVAILABLE);
    return outcome;
}

// Finishes a PQsend* call whose return value is `sent`.
static int roundtrip(struct reel_pg_conn *conn, int sent, PGresult **ret_result)
{
    REEL_AUTO(clear_result) PGresult *result = NULL;

    if (!sent)
        return give_up(conn, REEL_UNAVAILABLE);
    int rc = flush(conn);
    if (rc != REEL_OK)
        return give_up(conn, rc);
    rc = collect(conn, &result);
    if (ret_result)
        *ret_result = REEL_STEAL(&result);
    return rc;
}

// A lease whose deadline has passed sends nothing more; its connection is still good.
static int may_send(const struct reel_pg_conn *conn)
{
    if (conn->dead_rc != REEL_OK)
        return conn->dead_rc;
    return reel_deadline_passed(conn->deadline_us) ? REEL_DEADLINE_EXCEEDED : REEL_OK;
}

int reel_pg_conn_simple(struct reel_pg_conn *conn, const char *sql)
{
    int rc = may_send(conn);

    if (rc != REEL_OK)
        return rc;
    conn->constraint[0] = '\0';
    return roundtrip(conn, PQsendQuery(conn->pg, sql), NULL);
}

static uint64_t hash_text(const char *s)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *s; s++)
        hash = (hash ^ (unsigned char)*s) * 0x100000001b3;
    return hash;
}

// The slot that holds the statement, or the free one where it belongs.
static struct reel_pg_statement *find_statement(struct reel_pg_conn *conn, const char *sql,
                                                uint64_t hash)
{
    for (size_t i = hash % REEL_PG_MAX_STATEMENTS;; i = (i + 1) % REEL_PG_MAX_STATEMENTS) {
        struct reel_pg_statement *slot = &conn->statements[i];

        if (!slot->sql || (slot->hash == hash && strcmp(slot->sql, sql) == 0))
            return slot;
    }
}

static void statement_name(const struct reel_pg_conn *conn, const struct reel_pg_statement *slot,
                           char ret_name[16])
{
    snprintf(ret_name, 16, "s%u", (unsigned)(slot - conn->statements));
}

static int prepare(struct reel_pg_conn *conn, struct reel_pg_statement *slot, const char *sql,
                   uint64_t hash)
{
    char name[16];

    statement_name(conn, slot, name);
    int rc = roundtrip(conn, PQsendPrepare(conn->pg, name, sql, 0, NULL), NULL);
    if (rc != REEL_OK)
        return rc;
    slot->sql = strdup(sql);
    if (!slot->sql)
        return give_up(conn, -ENOMEM);
    slot->hash = hash;
    conn->n_statements++;
    return REEL_OK;
}

// Prepared plans die with a schema change that alters their columns (0A000), and statements with a
// DISCARD by a proxy between (26000). The connection then starts anew; so does the caller.
static bool lost_statements(const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    return state && (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);
}

static int forget_statements(struct reel_pg_conn *conn)
{
    for (size_t i = 0; i < REEL_PG_MAX_STATEMENTS; i++) {
        free(conn->statements[i].sql);
        conn->statements[i] = (struct reel_pg_statement){0};
    }
    conn->n_statements = 0;
    return reel_pg_conn_simple(conn, "DEALLOCATE ALL");
}

static int run_once(struct reel_pg_conn *conn, const char *sql, size_t n_params,
                    const reel_pg_param *params, PGresult **ret_result)
{
    uint64_t hash = hash_text(sql);
    struct reel_pg_statement *slot = find_statement(conn, sql, hash);
    char name[16];

    // A quarter stays free, which keeps probing short and find_statement ending.
    if (!slot->sql && conn->n_statements >= REEL_PG_MAX_STATEMENTS / 4 * 3)
        return roundtrip(
            conn, PQsendQueryParams(conn->pg, sql, (int)n_params, NULL, params, NULL, NULL, 0),
            ret_result);
    if (!slot->sql) {
        int rc = prepare(conn, slot, sql, hash);

        if (rc != REEL_OK)
            return rc;
    }
    statement_name(conn, slot, name);
    return roundtrip(conn,
                     PQsendQueryPrepared(conn->pg, name, (int)n_params, params, NULL, NULL, 0),
                     ret_result);
}

int reel_pg_conn_run(struct reel_pg_conn *conn, const char *sql, size_t n_params,
                     const reel_pg_param *params, struct pg_result **ret_result)
{
    REEL_AUTO(clear_result) PGresult *result = NULL;
    int rc = may_send(conn);

    if (rc != REEL_OK)
        return rc;
    conn->constraint[0] = '\0';
    bool in_transaction = reel_pg_conn_in_transaction(conn);
    rc = run_once(conn, sql, n_params, params, &result);
    if (rc < 0 && lost_statements(result)) {
        if (in_transaction)
            return give_up(conn, REEL_ABORTED);
        PQclear(REEL_STEAL(&result));
        rc = forget_statements(conn);
        if (rc == REEL_OK)
            rc = run_once(conn, sql, n_params, params, &result);
    }
    if (rc == REEL_OK)
        *ret_result = REEL_STEAL(&result);
    return rc;
}

bool reel_pg_conn_in_transaction(const struct reel_pg_conn *conn)
{
    PGTransactionStatusType status = PQtransactionStatus(conn->pg);

    return status != PQTRANS_IDLE;
}
