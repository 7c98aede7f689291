// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/id.h"
#include "svc-user/store.h"
#include "tests/integration/user/lib/service.h"
#include "tests/lib/cmocka.h"

static struct reel_stream *open_watch(struct reel_channel *channel)
{
    const struct reel_call_options options = {.deadline_us = reel_deadline_in_us(60000000)};
    struct reel_stream *stream = NULL;

    assert_int_equal(reel_stream_open(channel,
                                      &user_service.methods[USER_SERVICE_WATCH_REVOCATIONS],
                                      &options, NULL, NULL, &stream),
                     REEL_OK);
    assert_int_equal(reel_stream_send(stream, (const uint8_t *)"", 0), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    return stream;
}

// The next item's session id ("" is the heartbeat); the code when the stream has ended.
static int next_item(struct reel_stream *stream, char ret_id[REEL_ID_SIZE])
{
    uint8_t *payload = NULL;
    size_t len = 0;
    int rc = reel_stream_recv(stream, &payload, &len);

    if (rc != REEL_OK)
        return rc;
    if (!payload)
        return REEL_CANCELLED;
    User__Revocation *item = user__revocation__unpack(NULL, len, payload);
    assert_non_null(item);
    assert_true(item->revoked_at->seconds > 1700000000);
    snprintf(ret_id, REEL_ID_SIZE, "%s", item->session_id);
    user__revocation__free_unpacked(item, NULL);
    free(payload);
    return REEL_OK;
}

// Reads until a heartbeat; the ids before it are counted, the last one kept.
static unsigned read_round(struct reel_stream *stream, char ret_last[REEL_ID_SIZE])
{
    char id[REEL_ID_SIZE];
    unsigned n = 0;

    for (;;) {
        assert_int_equal(next_item(stream, id), REEL_OK);
        if (!id[0])
            return n;
        memcpy(ret_last, id, REEL_ID_SIZE);
        n++;
    }
}

static void await_revocation(struct reel_stream *stream, const char *session_id)
{
    char last[REEL_ID_SIZE];

    for (int64_t until = reel_deadline_in_us(10000000); !reel_deadline_passed(until);) {
        if (read_round(stream, last) > 0) {
            assert_string_equal(last, session_id);
            return;
        }
    }
    fail_msg("the revocation did not arrive");
}

static void logout(struct service *s, const struct login *login)
{
    assert_int_equal(service_call(s, USER_SERVICE_LOGOUT, &login->caller, NULL, NULL, NULL),
                     REEL_OK);
}

static void a_reader_hears_first_of_what_was_revoked_lately(void **state)
{
    struct service *s = *state;
    char last[REEL_ID_SIZE];

    service_register(s, "alice");
    const struct login recent = service_login(s, "alice");
    const struct login old = service_login(s, "alice");
    service_login(s, "alice");
    logout(s, &recent);
    logout(s, &old);
    service_sql(s, "UPDATE sessions SET revoked_at = now() - interval '20 minutes' WHERE id = '%s'",
                old.caller.session_id);
    struct reel_stream *stream = open_watch(s->channel);
    assert_int_equal(read_round(stream, last), 1);
    assert_string_equal(last, recent.caller.session_id);
    assert_int_equal(read_round(stream, last), 0);
    reel_stream_close(stream);
}

static void heartbeats_come_at_least_four_times_a_second(void **state)
{
    struct service *s = *state;
    struct reel_stream *stream = open_watch(s->channel);
    char last[REEL_ID_SIZE];

    read_round(stream, last);
    const int64_t start_us = reel_clock_mono_us();
    for (int i = 0; i < 8; i++)
        assert_int_equal(read_round(stream, last), 0);
    // Eight in two seconds, with room for a busy machine; a gateway takes a second for stale.
    assert_true(reel_clock_mono_us() - start_us < 8 * 1000 * 1000);
    reel_stream_close(stream);
}

// Signs in, out, and waits until `stream` tells of it; how long that took at best. Once in three
// times is enough to see that it can: other tests may keep the machine busy.
static int64_t quickest_revocation_us(struct service *s, struct reel_stream *stream)
{
    int64_t best_us = INT64_MAX;

    for (int i = 0; i < 3; i++) {
        const struct login login = service_login(s, "alice");
        const int64_t start_us = reel_clock_mono_us();

        logout(s, &login);
        await_revocation(stream, login.caller.session_id);
        const int64_t took_us = reel_clock_mono_us() - start_us;
        if (took_us < best_us)
            best_us = took_us;
    }
    return best_us;
}

static void a_logout_is_heard_within_a_second(void **state)
{
    struct service *s = *state;
    struct reel_stream *stream = open_watch(s->channel);
    char last[REEL_ID_SIZE];

    service_register(s, "alice");
    read_round(stream, last);
    assert_true(quickest_revocation_us(s, stream) < 1000 * 1000);
    reel_stream_close(stream);
}

static void each_revocation_is_told_once(void **state)
{
    struct service *s = *state;
    struct reel_stream *stream = open_watch(s->channel);
    char last[REEL_ID_SIZE];
    unsigned n = 0;

    service_register(s, "alice");
    for (int i = 0; i < 3; i++) {
        const struct login login = service_login(s, "alice");

        logout(s, &login);
        n += read_round(stream, last);
    }
    // Heartbeats from before may still be on their way.
    for (int64_t until = reel_deadline_in_us(20000000); n < 3 && !reel_deadline_passed(until);)
        n += read_round(stream, last);
    for (int i = 0; i < 4; i++)
        n += read_round(stream, last);
    assert_int_equal(n, 3);
    reel_stream_close(stream);
}

static void what_another_replica_revokes_is_heard_too(void **state)
{
    struct service *s = *state;
    struct user_config config;
    char url[80];

    snprintf(url, sizeof(url), "%s-b", s->url);
    struct user_svc *replica = service_replica(s, &config, url);
    struct reel_channel *channel = service_channel(url);
    struct reel_stream *stream = open_watch(channel);
    char last[REEL_ID_SIZE];

    service_register(s, "alice");
    read_round(stream, last);
    assert_true(quickest_revocation_us(s, stream) < 1000 * 1000);
    reel_stream_close(stream);
    reel_channel_close(channel);
    user_svc_free(replica);
}

// A transaction that revoked earlier than others and commits later would be missed by a reader that
// goes by time alone.
static void a_revocation_committed_late_is_not_missed(void **state)
{
    struct service *s = *state;
    struct store_revocation *news = NULL;
    struct store_feed feed = {0};
    struct reel_pg_conn *late = NULL;
    size_t n = 0;

    service_register(s, "alice");
    const struct login slow = service_login(s, "alice");
    const struct login quick = service_login(s, "alice");
    const struct store db = {s->pg, reel_deadline_in_us(20000000), &s->arena};
    assert_int_equal(reel_pg_take(s->pg, db.deadline_us, &late), REEL_OK);
    assert_int_equal(reel_pg_begin(late), REEL_OK);
    const reel_pg_param id = slow.caller.session_id;
    assert_int_equal(reel_pg_exec(late, &s->arena,
                                  "UPDATE sessions SET revoked_at = clock_timestamp(),"
                                  " revoked_xid = pg_current_xact_id() WHERE id = $1",
                                  1, &id, NULL),
                     REEL_OK);
    logout(s, &quick);
    assert_int_equal(store_session_revoked(&db, 900, &feed, &news, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(news[0].session_id, quick.caller.session_id);
    assert_int_equal(reel_pg_commit(late), REEL_OK);
    reel_pg_give(&late);
    assert_int_equal(store_session_revoked(&db, 900, &feed, &news, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(news[0].session_id, slow.caller.session_id);
    assert_int_equal(store_session_revoked(&db, 900, &feed, &news, &n), REEL_OK);
    assert_int_equal(n, 0);
}

static void a_new_password_and_a_replay_are_heard(void **state)
{
    struct service *s = *state;
    struct reel_stream *stream = open_watch(s->channel);
    User__TokenResponse *next = NULL;

    service_register(s, "alice");
    const struct login here = service_login(s, "alice");
    const struct login there = service_login(s, "alice");
    assert_int_equal(service_call(s, USER_SERVICE_UPDATE_USER, &here.caller, NULL, NULL, "password",
                                  "another long password", "currentPassword", SERVICE_PASSWORD,
                                  NULL),
                     REEL_OK);
    await_revocation(stream, there.caller.session_id);
    for (int i = 0; i < 2; i++)
        (void)!service_call(s, USER_SERVICE_REFRESH, NULL, &next, NULL, "refreshToken",
                            here.tokens->refresh_token, NULL);
    await_revocation(stream, here.caller.session_id);
    reel_stream_close(stream);
}

static void a_drain_ends_the_stream(void **state)
{
    struct service *s = *state;
    struct reel_stream *stream = open_watch(s->channel);
    char id[REEL_ID_SIZE];
    int rc = REEL_OK;

    assert_int_equal(next_item(stream, id), REEL_OK);
    user_svc_drain(s->svc);
    for (int64_t until = reel_deadline_in_us(5000000); rc == REEL_OK;) {
        assert_false(reel_deadline_passed(until));
        rc = next_item(stream, id);
    }
    assert_int_equal(rc, REEL_UNAVAILABLE);
    reel_stream_close(stream);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, service_start, service_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_reader_hears_first_of_what_was_revoked_lately),
        CASE(heartbeats_come_at_least_four_times_a_second),
        CASE(a_logout_is_heard_within_a_second),
        CASE(each_revocation_is_told_once),
        CASE(what_another_replica_revokes_is_heard_too),
        CASE(a_revocation_committed_late_is_not_missed),
        CASE(a_new_password_and_a_replay_are_heard),
        CASE(a_drain_ends_the_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
