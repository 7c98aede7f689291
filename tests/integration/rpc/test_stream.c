// SPDX-License-Identifier: Apache-2.0
// Streams: order, ends, credit, and memory that stays bounded when the reader is slow.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/wire.h"
#include "tests/integration/rpc/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

struct context {
    struct fixture fixture;
    struct reel_channel *channel;
};

static int set_up(void **state)
{
    struct context *context = calloc(1, sizeof(*context));

    fixture_start(&context->fixture, &(struct reel_server_config){.max_streams = 8}, NULL);
    context->channel = fixture_connect(&context->fixture);
    *state = context;
    return 0;
}

static int tear_down(void **state)
{
    struct context *context = *state;

    reel_channel_close(context->channel);
    fixture_stop(&context->fixture);
    free(context);
    return 0;
}

static struct reel_stream *open_stream(struct context *context, unsigned method,
                                       const struct reel_call_options *options)
{
    struct reel_stream *stream;

    assert_int_equal(reel_stream_open(context->channel, &echo_service.methods[method], options,
                                      NULL, NULL, &stream),
                     REEL_OK);
    return stream;
}

static int send_message(struct reel_stream *stream, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len + 1);

    protobuf_c_message_pack(message, packed);
    int rc = reel_stream_send(stream, packed, len);
    free(packed);
    return rc;
}

static struct reel_stream *open_split(struct context *context, uint32_t count, uint32_t bytes,
                                      int code)
{
    struct reel_stream *stream = open_stream(context, ECHO_SERVICE_SPLIT, NULL);
    Echo__SplitRequest request = ECHO__SPLIT_REQUEST__INIT;

    request.count = count;
    request.chunk_bytes = bytes;
    request.code = code;
    assert_int_equal(send_message(stream, &request.base), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    return stream;
}

// Reads to the end; the code. *ret_chunks counts the messages, *ret_bytes their sizes.
static int drain(struct reel_stream *stream, uint64_t *ret_chunks, uint64_t *ret_bytes)
{
    uint8_t *payload;
    size_t len;
    int rc;

    *ret_chunks = 0;
    *ret_bytes = 0;
    while ((rc = reel_stream_recv(stream, &payload, &len)) == REEL_OK && payload) {
        ++*ret_chunks;
        *ret_bytes += len;
        free(payload);
    }
    return rc;
}

static void server_stream_arrives_whole(void **state)
{
    struct reel_stream *stream = open_split(*state, 1000, 100, 0);
    uint64_t chunks;
    uint64_t bytes;

    assert_int_equal(drain(stream, &chunks, &bytes), REEL_OK);
    assert_int_equal(chunks, 1000);
    assert_int_equal(bytes, 1000 * 102);
    assert_int_equal(reel_stream_status(stream)->code, REEL_OK);
    reel_stream_close(stream);
}

static void empty_server_stream_ends(void **state)
{
    struct reel_stream *stream = open_split(*state, 0, 0, 0);
    uint64_t chunks;
    uint64_t bytes;

    assert_int_equal(drain(stream, &chunks, &bytes), REEL_OK);
    assert_int_equal(chunks, 0);
    reel_stream_close(stream);
}

static void messages_come_before_a_failure(void **state)
{
    struct reel_stream *stream = open_split(*state, 3, 1, REEL_ABORTED);
    uint64_t chunks;
    uint64_t bytes;

    assert_int_equal(drain(stream, &chunks, &bytes), REEL_ABORTED);
    assert_int_equal(chunks, 3);
    assert_string_equal(reel_stream_status(stream)->message, "as asked");
    reel_stream_close(stream);
}

// The server answers as soon as it has the message, so whether the end is sent before or after the
// answer has come is chance, and may make no difference.
static void the_end_of_a_call_that_is_over_is_no_failure(void **state)
{
    struct reel_stream *stream = open_stream(*state, ECHO_SERVICE_SPLIT, NULL);
    Echo__SplitRequest request = ECHO__SPLIT_REQUEST__INIT;
    uint64_t chunks;
    uint64_t bytes;

    request.count = 3;
    request.code = REEL_ABORTED;
    assert_int_equal(send_message(stream, &request.base), REEL_OK);
    assert_int_equal(drain(stream, &chunks, &bytes), REEL_ABORTED);
    assert_int_equal(chunks, 3);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    assert_int_equal(drain(stream, &chunks, &bytes), REEL_ABORTED);
    assert_int_equal(chunks, 0);
    reel_stream_close(stream);
}

static void join(struct context *context, uint32_t count, uint32_t bytes)
{
    struct reel_stream *stream = open_stream(context, ECHO_SERVICE_JOIN, NULL);
    Echo__Chunk chunk = ECHO__CHUNK__INIT;
    uint8_t *payload;
    size_t len;

    chunk.data.len = bytes;
    chunk.data.data = calloc(1, bytes + 1);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(send_message(stream, &chunk.base), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_OK);
    assert_non_null(payload);
    Echo__JoinResponse *response = echo__join_response__unpack(NULL, len, payload);
    assert_int_equal(response->chunks, count);
    assert_int_equal(response->bytes, (uint64_t)count * bytes);
    echo__join_response__free_unpacked(response, NULL);
    free(payload);
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_OK);
    assert_null(payload);
    reel_stream_close(stream);
    free(chunk.data.data);
}

static void client_stream_arrives_whole(void **state)
{
    join(*state, 0, 0);
    join(*state, 2000, 0);
    join(*state, 1000, 100);
    join(*state, 3, 3000000);
}

static void bidirectional_stream_answers_each_message(void **state)
{
    struct reel_stream *stream = open_stream(*state, ECHO_SERVICE_CHAT, NULL);
    uint8_t *payload;
    size_t len;

    for (uint8_t i = 1; i < 100; i++) {
        Echo__Chunk chunk = ECHO__CHUNK__INIT;
        uint8_t byte = i;

        chunk.data.len = 1;
        chunk.data.data = &byte;
        assert_int_equal(send_message(stream, &chunk.base), REEL_OK);
        assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_OK);
        assert_int_equal(len, 3);
        assert_int_equal(payload[2], i);
        free(payload);
    }
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_OK);
    assert_null(payload);
    reel_stream_close(stream);
}

// The sender is in this process too, so what it keeps shows in the resident memory.
static void a_slow_reader_bounds_the_senders_memory(void **state)
{
    const uint32_t chunk_bytes = 256 * 1024;
    struct context *context = *state;
    size_t before = fixture_rss_bytes();
    size_t most = before;
    struct reel_stream *stream = open_split(context, 4096, chunk_bytes, 0);
    const struct timespec slow = {.tv_nsec = 20 * 1000000};
    uint64_t bytes = 0;
    uint8_t *payload;
    size_t len;
    int rc;

    for (unsigned i = 0; (rc = reel_stream_recv(stream, &payload, &len)) == REEL_OK && payload;
         i++) {
        bytes += len;
        free(payload);
        // Slow for a while, then let the gigabyte through.
        if (i < 64)
            nanosleep(&slow, NULL);
        if (i % 64 == 0 && fixture_rss_bytes() > most)
            most = fixture_rss_bytes();
    }
    assert_int_equal(rc, REEL_OK);
    assert_true(bytes >= (uint64_t)4096 * chunk_bytes);
#ifndef SANITIZED // a sanitizer keeps what was freed
    assert_true(most - before < (16u << 20));
#endif
    reel_stream_close(stream);
}

static void an_unread_stream_stops_its_sender_and_no_other_call(void **state)
{
    struct context *context = *state;
    struct reel_stream *stream = open_split(context, 100000, 10000, 0);

    assert_true(fixture_wait(&context->fixture.svc.started, 1, 5000));
    for (int i = 0; i < 100; i++)
        assert_int_equal(fixture_echo(context->channel, 100), REEL_OK);
    assert_int_equal(atomic_load(&context->fixture.svc.finished), 0);
    reel_stream_close(stream);
    assert_true(fixture_wait(&context->fixture.svc.cancelled, 1, 5000));
}

static void try_send_says_when_credit_is_out(void **state)
{
    struct context *context = *state;
    struct reel_stream *stream = open_stream(context, ECHO_SERVICE_CHAT, NULL);
    static uint8_t payload[100003] = {0x0a, 0x9f, 0x8d, 0x06};
    size_t sent = 0;
    int rc;

    // Chat answers each message; unread answers take its credit, so it stops reading.
    while ((rc = reel_stream_try_send(stream, payload, sizeof(payload))) == REEL_OK || sent < 100) {
        if (rc == REEL_OK)
            sent++;
        else if (!fixture_wait(&context->fixture.svc.started, 1, 20) && sent >= 3)
            break;
        assert_true(sent < 100);
    }
    assert_int_equal(rc, -EAGAIN);
    reel_stream_close(stream);
}

struct events {
    atomic_uint count;
};

static void on_event(void *arg)
{
    atomic_fetch_add(&((struct events *)arg)->count, 1);
}

static void events_tell_when_to_read(void **state)
{
    struct context *context = *state;
    struct events events = {0};
    Echo__SplitRequest request = ECHO__SPLIT_REQUEST__INIT;
    struct reel_stream *stream;
    uint8_t *payload;
    size_t len;
    unsigned got = 0;
    int rc;

    request.count = 10;
    assert_int_equal(reel_stream_open(context->channel, &echo_service.methods[ECHO_SERVICE_SPLIT],
                                      NULL, on_event, &events, &stream),
                     REEL_OK);
    assert_int_equal(send_message(stream, &request.base), REEL_OK);
    assert_int_equal(reel_stream_half_close(stream), REEL_OK);
    for (;;) {
        unsigned seen = atomic_load(&events.count);

        rc = reel_stream_try_recv(stream, &payload, &len);
        if (rc == REEL_OK && !payload)
            break;
        if (rc == REEL_OK) {
            got++;
            free(payload);
            continue;
        }
        assert_int_equal(rc, -EAGAIN);
        assert_true(fixture_wait(&events.count, seen + 1, 5000));
    }
    assert_int_equal(got, 10);
    reel_stream_close(stream);
}

static void too_many_streams_are_refused(void **state)
{
    struct context *context = *state;
    struct reel_stream *streams[9];
    uint8_t *payload;
    size_t len;

    for (unsigned i = 0; i < 8; i++)
        streams[i] = open_split(context, 100000, 10000, 0);
    assert_true(fixture_wait(&context->fixture.svc.started, 8, 5000));
    streams[8] = open_stream(context, ECHO_SERVICE_CHAT, NULL);
    assert_int_equal(reel_stream_recv(streams[8], &payload, &len), REEL_RESOURCE_EXHAUSTED);
    assert_true(reel_stream_status(streams[8])->retry_after_ms > 0);
    for (unsigned i = 0; i < 9; i++)
        reel_stream_close(streams[i]);
}

static void a_message_that_is_too_large_is_not_sent(void **state)
{
    struct reel_stream *stream = open_stream(*state, ECHO_SERVICE_CHAT, NULL);
    uint8_t *large = calloc(1, (4 << 20) + 1);

    assert_int_equal(reel_stream_send(stream, large, (4 << 20) + 1), REEL_RESOURCE_EXHAUSTED);
    free(large);
    reel_stream_close(stream);
}

static void an_invalid_message_ends_the_stream(void **state)
{
    static const uint8_t broken[] = {0x0a, 0x7f};
    struct reel_stream *stream = open_stream(*state, ECHO_SERVICE_JOIN, NULL);
    uint8_t *payload;
    size_t len;

    assert_int_equal(reel_stream_send(stream, broken, sizeof(broken)), REEL_OK);
    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_INVALID_ARGUMENT);
    assert_int_equal(reel_stream_send(stream, broken, 0), REEL_INVALID_ARGUMENT);
    reel_stream_close(stream);
}

static void a_deadline_ends_a_stream(void **state)
{
    struct context *context = *state;
    struct reel_call_options options = {.deadline_us = reel_deadline_in_us(100 * 1000)};
    struct reel_stream *stream = open_stream(context, ECHO_SERVICE_JOIN, &options);
    uint8_t *payload;
    size_t len;

    assert_int_equal(reel_stream_recv(stream, &payload, &len), REEL_DEADLINE_EXCEEDED);
    assert_true(fixture_wait(&context->fixture.svc.cancelled, 1, 5000));
    reel_stream_close(stream);
}

static void cancelling_frees_the_handler_at_once(void **state)
{
    struct context *context = *state;
    struct reel_stream *stream = open_stream(context, ECHO_SERVICE_JOIN, NULL);

    assert_true(fixture_wait(&context->fixture.svc.started, 1, 5000));
    int64_t at = reel_clock_mono_us();
    reel_stream_close(stream);
    assert_true(fixture_wait(&context->fixture.svc.cancelled, 1, 5000));
    assert_true(atomic_load(&context->fixture.svc.cancelled_at_us) >= at);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(server_stream_arrives_whole),
        TEST(empty_server_stream_ends),
        TEST(messages_come_before_a_failure),
        TEST(the_end_of_a_call_that_is_over_is_no_failure),
        TEST(client_stream_arrives_whole),
        TEST(bidirectional_stream_answers_each_message),
        TEST(a_slow_reader_bounds_the_senders_memory),
        TEST(an_unread_stream_stops_its_sender_and_no_other_call),
        TEST(try_send_says_when_credit_is_out),
        TEST(events_tell_when_to_read),
        TEST(too_many_streams_are_refused),
        TEST(a_message_that_is_too_large_is_not_sent),
        TEST(an_invalid_message_ends_the_stream),
        TEST(a_deadline_ends_a_stream),
        TEST(cancelling_frees_the_handler_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
