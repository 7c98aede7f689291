// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/job/lib/bench.h"

#include <hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

enum { WAIT_US = 5 * 1000 * 1000 };

int64_t soon(void)
{
    return reel_deadline_in_us(WAIT_US);
}

int bench_set_up(void **state)
{
    struct bench *fx = calloc(1, sizeof(*fx));

    tap_open(&fx->tap);
    const struct queue_config config = {
        .redis_url = getenv("REDIS_URL"),
        .prefix = "test",
        .name = fx->tap.name,
        .worker = "tester",
        .lock_ms = BENCH_LOCK_MS,
    };
    assert_int_equal(queue_open(&config, &fx->q), REEL_OK);
    reel_arena_init(&fx->arena, 64 << 20);
    assert_int_equal(queue_init(fx->q, soon(), &fx->arena, 5), REEL_OK);
    *state = fx;
    return 0;
}

int bench_tear_down(void **state)
{
    struct bench *fx = *state;

    queue_close(fx->q);
    tap_close(&fx->tap);
    reel_arena_fini(&fx->arena);
    free(fx);
    return 0;
}

void add(struct bench *fx, struct queue_entry entry)
{
    entry.name = "resize";
    if (entry.data == NULL)
        entry.data = "{}";
    assert_int_equal(queue_add(fx->q, soon(), &fx->arena, &entry), REEL_OK);
}

void add_plain(struct bench *fx, const char *id)
{
    add(fx, (struct queue_entry){.id = id, .attempts = 3});
}

struct queue_claim claim(struct bench *fx, const char *token)
{
    struct queue_claim claimed;

    assert_int_equal(queue_claim_next(fx->q, soon(), &fx->arena, token, &claimed), REEL_OK);
    return claimed;
}

struct queue_claim claim_when_due(struct bench *fx)
{
    int64_t give_up_us = soon();
    struct queue_claim claimed = claim(fx, "t");

    while (!claimed.found && !reel_deadline_passed(give_up_us)) {
        assert_int_equal(queue_wait(fx->q, 1000, claimed.next_due_ms), REEL_OK);
        claimed = claim(fx, "t");
    }
    assert_true(claimed.found);
    return claimed;
}

void assert_claims(struct bench *fx, const char *id)
{
    struct queue_claim claimed = claim(fx, "t");

    assert_true(claimed.found);
    assert_string_equal(claimed.job.id, id);
}

int settle(struct bench *fx, const char *id, bool completed, const char *value,
           struct queue_claim *ret_next)
{
    const struct queue_end end = {
        .id = id, .token = "t", .completed = completed, .value = value, .fetch_next = true};

    return queue_settle(fx->q, soon(), &fx->arena, &end, ret_next);
}

void assert_field(struct bench *fx, const char *id, const char *field, const char *value)
{
    char *text = tap_text(&fx->tap, "HGET %s %s", tap_key(&fx->tap, id), field);

    assert_string_equal(text, value);
    free(text);
}

void assert_events(struct bench *fx, const char *names)
{
    char *events = tap_events(&fx->tap);

    assert_string_equal(events, names);
    free(events);
}
