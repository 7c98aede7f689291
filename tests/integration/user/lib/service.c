// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/user/lib/service.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "libcommon/json/pbjson.h"
#include "svc-user/keys.h"
#include "tests/lib/cmocka.h"

#define GATEWAY_KEY "gateway-key-of-the-tests"

enum { ARENA_BYTES = 64 * 1024 * 1024, WAIT_US = 20 * 1000 * 1000 };

struct reel_channel *service_channel(const char *url)
{
    const struct reel_channel_config config = {
        .url = url, .service = "gateway", .key = GATEWAY_KEY};
    struct reel_channel *channel = NULL;

    assert_int_equal(reel_channel_open(&config, &channel), REEL_OK);
    assert_true(reel_channel_wait_ready(channel, reel_deadline_in_us(WAIT_US)));
    return channel;
}

struct user_svc *service_replica(struct service *service, struct user_config *config,
                                 const char *url)
{
    struct user_svc *svc = NULL;

    *config = service->config;
    config->listen = url;
    assert_int_equal(user_svc_new(config, &svc), REEL_OK);
    assert_int_equal(reel_server_start(svc->server), REEL_OK);
    return svc;
}

int service_start(void **state)
{
    struct service *service = calloc(1, sizeof(*service));
    char hex[17];

    reel_id_random_hex(hex, 8);
    snprintf(service->url, sizeof(service->url), "inproc://user-%s", hex);
    snprintf(service->keys_dir, sizeof(service->keys_dir), "/tmp/reel-keys-XXXXXX");
    assert_non_null(mkdtemp(service->keys_dir));
    service->database = own_database_create();
    service->config = (struct user_config){
        .listen = service->url,
        .database_url = own_database_url(service->database),
        .keys_dir = service->keys_dir,
        .peers = {{.service = "gateway", .key = GATEWAY_KEY, .may_speak_for_users = true},
                  {.service = "tool", .key = "", .may_speak_for_users = true}},
        .access_ttl_s = 900,
        .session_ttl_s = 3600,
        .signing_delay_s = 60,
        .sweep_ms = 3600000,
        .hash_waiting = 24,
    };
    assert_int_equal(user_svc_migrate(&service->config), REEL_OK);
    const struct reel_pg_config pg = {.url = own_database_url(service->database)};
    assert_int_equal(reel_pg_new(&pg, &service->pg), REEL_OK);
    // The service itself has no more rights than in production.
    service->config.database_url = own_database_url_as(service->database, "reel_user");
    assert_int_equal(user_svc_new(&service->config, &service->svc), REEL_OK);
    assert_int_equal(reel_server_start(service->svc->server), REEL_OK);
    service->channel = service_channel(service->url);
    reel_arena_init(&service->arena, ARENA_BYTES);
    *state = service;
    return 0;
}

int service_reset(void **state)
{
    struct service *service = *state;

    reel_arena_reset(&service->arena);
    own_database_exec(service->database, "TRUNCATE users, sessions, login_failures");
    return 0;
}

static void remove_keys(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

int service_stop(void **state)
{
    struct service *service = *state;

    reel_channel_close(service->channel);
    user_svc_free(service->svc);
    reel_pg_free(service->pg);
    own_database_drop(service->database);
    remove_keys(service->keys_dir);
    reel_arena_fini(&service->arena);
    free(service);
    return 0;
}

int service_call(struct service *service, unsigned method, const struct caller *caller,
                 void *ret_response, struct reel_status *ret_status, ...)
{
    const struct reel_method *m = &user_service.methods[method];
    ProtobufCMessage *request = reel_pbjson_new(m->request, &service->arena);
    struct reel_metadata metadata[3];
    struct reel_call_options options = {.deadline_us = reel_deadline_in_us(WAIT_US),
                                        .metadata = metadata};
    struct reel_pbjson_error error;
    ProtobufCMessage *response;
    va_list args;

    if (caller && caller->user_id)
        metadata[options.n_metadata++] = (struct reel_metadata){"reel-user-id", caller->user_id};
    if (caller && caller->session_id)
        metadata[options.n_metadata++] =
            (struct reel_metadata){"reel-session-id", caller->session_id};
    if (caller && caller->address)
        metadata[options.n_metadata++] =
            (struct reel_metadata){"reel-client-address", caller->address};
    va_start(args, ret_status);
    for (const char *name; (name = va_arg(args, const char *));)
        assert_int_equal(reel_pbjson_set_field(request, &service->arena, name,
                                               va_arg(args, const char *), &error),
                         REEL_OK);
    va_end(args);

    int rc = reel_channel_call(service->channel, m, &options, request, &service->arena, &response,
                               ret_status);
    if (rc == REEL_OK && ret_response)
        *(ProtobufCMessage **)ret_response = response;
    return rc;
}

User__User *service_register(struct service *service, const char *username)
{
    char *email = reel_arena_printf(&service->arena, "%s@example.org", username);
    User__RegisterResponse *res = NULL;

    assert_int_equal(service_call(service, USER_SERVICE_REGISTER, NULL, &res, NULL, "username",
                                  username, "email", email, "password", SERVICE_PASSWORD, NULL),
                     REEL_OK);
    return res->user;
}

struct login service_login(struct service *service, const char *username)
{
    struct login login = {0};
    struct reel_jwt_claims claims;

    assert_int_equal(service_call(service, USER_SERVICE_LOGIN, NULL, &login.tokens, NULL,
                                  "username", username, "password", SERVICE_PASSWORD, NULL),
                     REEL_OK);
    assert_int_equal(keys_verify(service->svc->keys, login.tokens->access_token,
                                 reel_clock_wall_us() / 1000000, &claims),
                     REEL_OK);
    login.caller.user_id = reel_arena_strdup(&service->arena, claims.user_id);
    login.caller.session_id = reel_arena_strdup(&service->arena, claims.session_id);
    return login;
}

const char *service_sql(struct service *service, const char *fmt, ...)
{
    struct reel_pg_rows rows;
    va_list args;

    va_start(args, fmt);
    char *sql = reel_arena_vprintf(&service->arena, fmt, args);
    va_end(args);
    assert_int_equal(reel_pg_query(service->pg, reel_deadline_in_us(WAIT_US), &service->arena, sql,
                                   0, NULL, &rows),
                     REEL_OK);
    return rows.n_rows > 0 ? reel_pg_text(&rows, 0, 0) : NULL;
}

const char *service_violation(const struct reel_status *status)
{
    return status->n_violations > 0 ? status->violations[0].field : "";
}
