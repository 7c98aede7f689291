// SPDX-License-Identifier: Apache-2.0
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/id.h"
#include "svc-job/migrations.gen.h"
#include "tests/integration/job/lib/servers.h"
#include "tests/lib/cmocka.h"

void servers_need(char **argv)
{
    char *args[] = {(char *)"with-services.sh", argv[0], argv[1], NULL};

    if (getenv("REEL_TEST_PG_DIR") != NULL)
        return;
    execv(REEL_SOURCE_DIR "/tests/lib/with-services.sh", args);
    perror("with-services.sh");
    exit(1);
}

static void set_url(char *out, size_t size, const char *name, const char *user)
{
    snprintf(out, size, "postgresql:///%s?host=%s&user=%s", name, getenv("REEL_TEST_PG_DIR"), user);
}

static char *run(const char *url, const char *sql)
{
    PGconn *conn = PQconnectdb(url);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    char *value;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    value = strdup(PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return value;
}

static void run_in_postgres(const char *before, const char *name, const char *after)
{
    char url[512];
    char sql[256];

    set_url(url, sizeof(url), "postgres", "reel_admin");
    snprintf(sql, sizeof(sql), "%s %s%s", before, name, after);
    free(run(url, sql));
}

struct database *database_create(void)
{
    struct database *database = calloc(1, sizeof(*database));
    char hex[17];

    reel_id_random_hex(hex, 8);
    snprintf(database->name, sizeof(database->name), "job_%s", hex);
    set_url(database->admin_url, sizeof(database->admin_url), database->name, "reel_admin");
    set_url(database->url, sizeof(database->url), database->name, "reel_job");
    run_in_postgres("CREATE DATABASE", database->name, "");
    assert_int_equal(reel_pg_migrate(database->admin_url, "job", migrations,
                                     sizeof(migrations) / sizeof(migrations[0])),
                     0);
    return database;
}

void database_drop(struct database *database)
{
    if (database == NULL)
        return;
    run_in_postgres("DROP DATABASE IF EXISTS", database->name, " WITH (FORCE)");
    free(database);
}

char *database_sql(const struct database *database, const char *fmt, ...)
{
    char sql[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(sql, sizeof(sql), fmt, args);
    va_end(args);
    return run(database->admin_url, sql);
}

long database_number(const struct database *database, const char *fmt, ...)
{
    char sql[2048];
    va_list args;

    va_start(args, fmt);
    vsnprintf(sql, sizeof(sql), fmt, args);
    va_end(args);
    char *text = run(database->admin_url, sql);
    long value = strtol(text, NULL, 10);
    free(text);
    return value;
}
