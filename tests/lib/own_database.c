// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/own_database.h"

#include <libpq-fe.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tests/lib/must.h"

enum { URL_SIZE = 1024 };

struct own_database {
    const char *server_url;
    char name[64];
    char url[URL_SIZE];
    char url_as[URL_SIZE];
};

static void exec(const char *url, const char *sql)
{
    PGconn *pg = PQconnectdb(url);
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(pg));
        abort();
    }
    PQclear(result);
    PQfinish(pg);
}

static void add(char *conninfo, const char *keyword, const char *value)
{
    size_t len = strlen(conninfo);

    snprintf(conninfo + len, URL_SIZE - len, "%s='%s' ", keyword, value);
}

// The server's URL as keywords, with another database and, unless NULL, another user.
static void rewrite(const struct own_database *database, const char *user, char *ret_conninfo)
{
    PQconninfoOption *options = PQconninfoParse(database->server_url, NULL);

    must(options != NULL, "DATABASE_URL");
    ret_conninfo[0] = '\0';
    for (PQconninfoOption *o = options; o->keyword; o++) {
        bool replaced =
            strcmp(o->keyword, "dbname") == 0 ||
            (user && (strcmp(o->keyword, "user") == 0 || strcmp(o->keyword, "password") == 0));

        if (o->val && !replaced)
            add(ret_conninfo, o->keyword, o->val);
    }
    add(ret_conninfo, "dbname", database->name);
    if (user)
        add(ret_conninfo, "user", user);
    PQconninfoFree(options);
}

struct own_database *own_database_create(void)
{
    struct own_database *database = calloc(1, sizeof(*database));
    char sql[128];
    unsigned random = 0;

    must(database != NULL, "calloc");
    database->server_url = getenv("DATABASE_URL");
    if (!database->server_url || !*database->server_url) {
        fprintf(stderr, "DATABASE_URL is not set: run this through tests/lib/with-services.sh\n");
        exit(1);
    }
    must(getrandom(&random, sizeof(random), 0) == sizeof(random), "getrandom");
    snprintf(database->name, sizeof(database->name), "test_%d_%08x", getpid(), random);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", database->name);
    exec(database->server_url, sql);
    rewrite(database, NULL, database->url);
    return database;
}

const char *own_database_url(const struct own_database *database)
{
    return database->url;
}

const char *own_database_url_as(struct own_database *database, const char *role)
{
    rewrite(database, role, database->url_as);
    return database->url_as;
}

void own_database_exec(const struct own_database *database, const char *sql)
{
    exec(database->url, sql);
}

void own_database_drop(struct own_database *database)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", database->name);
    exec(database->server_url, sql);
    free(database);
}
