// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/bus.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/rpc/fixture.h"
#include "tests/lib/cmocka.h"

struct heard {
    atomic_uint messages;
    atomic_uint gaps;
    char topic[64];
    char payload[64];
    size_t payload_len;
};

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t payload_len)
{
    struct heard *heard = arg;

    snprintf(heard->topic, sizeof(heard->topic), "%s", topic);
    heard->payload_len = payload_len;
    memcpy(heard->payload, payload, payload_len < 64 ? payload_len : 64);
    atomic_fetch_add(&heard->messages, 1);
}

static void on_gap(void *arg)
{
    atomic_fetch_add(&((struct heard *)arg)->gaps, 1);
}

static struct reel_subscriber *listen_to(const char *url, const char *prefix, struct heard *heard)
{
    const struct reel_subscriber_handler handler = {
        .on_message = on_message,
        .on_gap = on_gap,
        .arg = heard,
    };
    struct reel_subscriber *subscriber;

    assert_int_equal(reel_subscriber_open(url, prefix, &handler, &subscriber), 0);
    return subscriber;
}

static void subscriber_hears_topic_and_payload(void **state)
{
    struct reel_publisher *publisher;
    struct heard heard = {0};

    (void)state;
    assert_int_equal(reel_publisher_open("tcp://127.0.0.1:0", &publisher), 0);
    struct reel_subscriber *subscriber = listen_to(reel_publisher_url(publisher), "job.", &heard);
    assert_true(fixture_wait(&heard.gaps, 1, 5000));
    // The publisher may see the connection later than the subscriber, and drops what it sends
    // meanwhile: the promise is to hear what is sent from some moment on.
    for (int i = 0; i < 50 && atomic_load(&heard.messages) == 0; i++) {
        assert_int_equal(reel_publisher_send(publisher, "other", (const uint8_t *)"no", 2), 0);
        assert_int_equal(reel_publisher_send(publisher, "job.done", (const uint8_t *)"a\0b", 3), 0);
        fixture_wait(&heard.messages, 1, 100);
    }
    assert_true(atomic_load(&heard.messages) > 0);
    assert_string_equal(heard.topic, "job.done");
    assert_int_equal(heard.payload_len, 3);
    assert_memory_equal(heard.payload, "a\0b", 3);
    reel_subscriber_close(subscriber);
    reel_publisher_close(publisher);
}

static void silence_is_a_gap(void **state)
{
    struct reel_publisher *publisher;
    struct heard heard = {0};

    (void)state;
    assert_int_equal(reel_publisher_open("tcp://127.0.0.1:0", &publisher), 0);
    struct reel_subscriber *subscriber = listen_to(reel_publisher_url(publisher), "", &heard);
    assert_true(fixture_wait(&heard.gaps, 3, 8000));
    reel_subscriber_close(subscriber);
    reel_publisher_close(publisher);
}

static void reconnecting_is_a_gap(void **state)
{
    struct reel_publisher *publisher;
    struct heard heard = {0};
    char url[128];

    (void)state;
    fixture_ipc_url(url, sizeof(url));
    assert_int_equal(reel_publisher_open(url, &publisher), 0);
    struct reel_subscriber *subscriber = listen_to(url, "", &heard);
    assert_true(fixture_wait(&heard.gaps, 1, 5000));
    reel_publisher_close(publisher);
    assert_int_equal(reel_publisher_open(url, &publisher), 0);
    atomic_store(&heard.messages, 0);
    for (int i = 0; i < 100 && atomic_load(&heard.messages) == 0; i++) {
        assert_int_equal(reel_publisher_send(publisher, "t", NULL, 0), 0);
        (void)fixture_wait(&heard.messages, 1, 100);
    }
    assert_true(atomic_load(&heard.messages) > 0);
    assert_true(atomic_load(&heard.gaps) >= 2);
    reel_subscriber_close(subscriber);
    reel_publisher_close(publisher);
}

// What is logged from here on can be read from *ret_log. Returns the descriptor that stderr had.
static int redirect_log(FILE **ret_log)
{
    int ends[2];
    int saved = dup(STDERR_FILENO);

    assert_true(saved >= 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    *ret_log = fdopen(ends[0], "r");
    assert_non_null(*ret_log);
    return saved;
}

static void await_line(FILE *log, char *line, int size)
{
    struct pollfd readable = {.fd = fileno(log), .events = POLLIN};

    assert_int_equal(poll(&readable, 1, 20000), 1);
    assert_non_null(fgets(line, size, log));
}

static void an_outage_is_logged_once_with_its_reason(void **state)
{
    struct reel_publisher *publisher;
    struct heard heard = {0};
    char url[128];
    char lost[512];
    char reached[512];
    FILE *log;

    (void)state;
    assert_int_equal(reel_publisher_open("tcp://127.0.0.1:0", &publisher), 0);
    snprintf(url, sizeof(url), "%s", reel_publisher_url(publisher));
    reel_publisher_close(publisher);
    int saved = redirect_log(&log);
    struct reel_subscriber *subscriber = listen_to(url, "", &heard);
    await_line(log, lost, sizeof(lost));
    // It fails a few times more, and says no more of it.
    assert_true(fixture_wait(&heard.gaps, atomic_load(&heard.gaps) + 2, 20000));
    assert_int_equal(reel_publisher_open(url, &publisher), 0);
    await_line(log, reached, sizeof(reached));
    reel_subscriber_close(subscriber);
    reel_publisher_close(publisher);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    (void)fclose(log);
    assert_non_null(strstr(lost, "\"bus.unreachable\""));
    assert_non_null(strstr(lost, url));
    assert_non_null(strstr(lost, "refused"));
    assert_non_null(strstr(reached, "\"bus.reached\""));
}

static void an_event_that_is_too_large_is_refused(void **state)
{
    static uint8_t payload[2 << 20];
    struct reel_publisher *publisher;

    (void)state;
    assert_int_equal(reel_publisher_open("tcp://127.0.0.1:0", &publisher), 0);
    assert_int_equal(reel_publisher_send(publisher, "t", payload, sizeof(payload)),
                     REEL_RESOURCE_EXHAUSTED);
    reel_publisher_close(publisher);
}

static void an_address_in_use_is_a_fault(void **state)
{
    struct reel_publisher *first;
    struct reel_publisher *second;

    (void)state;
    assert_int_equal(reel_publisher_open("tcp://127.0.0.1:0", &first), 0);
    assert_true(reel_publisher_open(reel_publisher_url(first), &second) < 0);
    reel_publisher_close(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscriber_hears_topic_and_payload),
        cmocka_unit_test(silence_is_a_gap),
        cmocka_unit_test(reconnecting_is_a_gap),
        cmocka_unit_test(an_outage_is_logged_once_with_its_reason),
        cmocka_unit_test(an_event_that_is_too_large_is_refused),
        cmocka_unit_test(an_address_in_use_is_a_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
