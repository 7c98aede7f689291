// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/redis/conn.h"

static const char tcp_scheme[] = "redis://";
static const char unix_scheme[] = "unix://";

// Cuts `s` at the first `c` and returns what follows, or NULL.
static char *cut(char *s, char c)
{
    char *at = strchr(s, c);

    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

static bool is_number(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0' && strlen(s) < 6;
}

static int parse_unix(char *rest, struct reel_redis_address *address)
{
    char *query = cut(rest, '?');

    if (query && strncmp(query, "db=", 3) == 0)
        address->db = query + 3;
    address->unix_path = rest;
    return rest[0] == '/' ? REEL_OK : REEL_INVALID_ARGUMENT;
}

static void parse_credentials(char *user, struct reel_redis_address *address)
{
    address->password = cut(user, ':');
    if (user[0] && address->password)
        address->user = user;
    else if (user[0])
        address->password = user;
}

// Cuts the port off, minding the colons inside an IPv6 address in brackets.
static char *cut_port(char *host, struct reel_redis_address *address)
{
    char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;

    address->host = bracket ? host + 1 : host;
    if (!bracket)
        return cut(host, ':');
    *bracket = '\0';
    return bracket[1] == ':' ? bracket + 2 : NULL;
}

static int parse_tcp(char *rest, struct reel_redis_address *address)
{
    char *path = cut(rest, '/');
    char *at = strrchr(rest, '@');

    if (path && *path)
        address->db = path;
    if (at) {
        *at = '\0';
        parse_credentials(rest, address);
        rest = at + 1;
    }
    char *port = cut_port(rest, address);
    if (port && !is_number(port))
        return REEL_INVALID_ARGUMENT;
    address->port = port ? (int)strtol(port, NULL, 10) : 6379;
    return address->host[0] && address->port <= 65535 ? REEL_OK : REEL_INVALID_ARGUMENT;
}

int reel_redis_address_init(const struct reel_redis_config *config,
                            struct reel_redis_address *ret_address)
{
    *ret_address = (struct reel_redis_address){.db = "0", .storage = strdup(config->url)};
    if (config->client_name)
        ret_address->client_name = strdup(config->client_name);
    if (!ret_address->storage || (config->client_name && !ret_address->client_name))
        return -ENOMEM;

    int rc = REEL_INVALID_ARGUMENT;
    char *url = ret_address->storage;
    if (strncmp(url, tcp_scheme, strlen(tcp_scheme)) == 0)
        rc = parse_tcp(url + strlen(tcp_scheme), ret_address);
    else if (strncmp(url, unix_scheme, strlen(unix_scheme)) == 0)
        rc = parse_unix(url + strlen(unix_scheme), ret_address);
    return rc == REEL_OK && !is_number(ret_address->db) ? REEL_INVALID_ARGUMENT : rc;
}

void reel_redis_address_fini(struct reel_redis_address *address)
{
    free(address->storage);
    free(address->client_name);
    *address = (struct reel_redis_address){0};
}
