// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/sp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/core/buf.h"

enum { MAX_BYTES = 1 << 20 };

static void the_greeting_names_the_protocol(void **state)
{
    uint8_t greeting[REEL_SP_GREETING_BYTES];

    (void)state;
    reel_sp_write_greeting(greeting, REEL_SP_REQ);
    assert_memory_equal(greeting, "\0SP\0\0\x30\0\0", 8);
    reel_sp_write_greeting(greeting, REEL_SP_REP);
    assert_memory_equal(greeting, "\0SP\0\0\x31\0\0", 8);
}

static void the_head_is_eight_bytes_or_tagged(void **state)
{
    uint8_t head[REEL_SP_HEAD_MAX];

    (void)state;
    assert_int_equal(reel_sp_write_head(head, false, 0x0102030405060708), 8);
    assert_memory_equal(head, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(reel_sp_write_head(head, true, 5), 9);
    assert_memory_equal(head, "\1\0\0\0\0\0\0\0\5", 9);
}

static size_t route_len(const char *bytes, size_t len)
{
    return reel_sp_route_len((struct reel_slice){.data = (const uint8_t *)bytes, .len = len});
}

static void the_route_ends_with_the_request_id(void **state)
{
    char deep[4 * 12] = {0};

    (void)state;
    assert_int_equal(route_len("\x80\0\0\1rest", 8), 4);
    assert_int_equal(route_len("\0\0\0\7\x80\0\0\1rest", 12), 8);
    assert_int_equal(route_len("\x80\0\0", 3), 0);
    assert_int_equal(route_len("\0\0\0\7\x80\0\0", 7), 0);
    assert_int_equal(route_len("", 0), 0);
    deep[4 * REEL_SP_MAX_HOPS] = (char)0x80;
    assert_int_equal(route_len(deep, sizeof(deep)), REEL_SP_ROUTE_MAX);
    deep[4 * REEL_SP_MAX_HOPS] = 0;
    deep[4 * (REEL_SP_MAX_HOPS + 1)] = (char)0x80;
    assert_int_equal(route_len(deep, sizeof(deep)), 0);
}

static void put_message(struct reel_buf *buf, bool tagged, size_t len, uint8_t seed)
{
    uint8_t head[REEL_SP_HEAD_MAX];

    reel_buf_add(buf, head, reel_sp_write_head(head, tagged, len));
    for (size_t i = 0; i < len; i++)
        reel_buf_addc(buf, (char)(uint8_t)(seed + i * 7));
}

static const size_t sizes[] = {0, 1, 4, 100, 300, 5000};

static void make_conversation(struct reel_buf *buf, bool tagged)
{
    uint8_t greeting[REEL_SP_GREETING_BYTES];

    reel_buf_init(buf, 64 << 20);
    reel_sp_write_greeting(greeting, REEL_SP_REQ);
    reel_buf_add(buf, greeting, sizeof(greeting));
    for (size_t i = 0; i < REEL_ARRAY_SIZE(sizes); i++)
        put_message(buf, tagged, sizes[i], (uint8_t)i);
}

static void feed(struct reel_splitter *splitter, const char *data, size_t len)
{
    while (len > 0) {
        uint8_t *room;
        size_t n = reel_splitter_room(splitter, &room);

        assert_true(n > 0);
        n = n < len ? n : len;
        memcpy(room, data, n);
        reel_splitter_fed(splitter, n);
        data += n;
        len -= n;
    }
}

static void check_message(struct reel_slice message, size_t i)
{
    assert_true(i < REEL_ARRAY_SIZE(sizes));
    assert_int_equal(message.len, sizes[i]);
    for (size_t k = 0; k < message.len; k++)
        assert_int_equal(message.data[k], (uint8_t)(i + k * 7));
}

// Takes what is complete; how many messages, `greeted` beside them.
static size_t take_all(struct reel_splitter *splitter, size_t n_before, unsigned *greeted)
{
    struct reel_slice message;
    enum reel_sp_event event;
    size_t n = n_before;

    while ((event = reel_splitter_next(splitter, &message)) != REEL_SP_MORE) {
        if (event == REEL_SP_GREETED) {
            assert_int_equal(n, 0);
            ++*greeted;
            continue;
        }
        assert_int_equal(event, REEL_SP_MESSAGE);
        check_message(message, n++);
    }
    return n;
}

static void torn(bool tagged)
{
    struct reel_buf buf;

    make_conversation(&buf, tagged);
    for (size_t cut = 0; cut <= buf.len; cut++) {
        struct reel_splitter splitter;
        unsigned greeted = 0;

        reel_splitter_init(&splitter, REEL_SP_REQ, tagged, MAX_BYTES);
        feed(&splitter, buf.data, cut);
        size_t n = take_all(&splitter, 0, &greeted);
        feed(&splitter, buf.data + cut, buf.len - cut);
        n = take_all(&splitter, n, &greeted);
        assert_int_equal(n, REEL_ARRAY_SIZE(sizes));
        assert_int_equal(greeted, 1);
        reel_splitter_fini(&splitter);
    }
    reel_buf_fini(&buf);
}

static void a_tear_at_any_byte_changes_nothing(void **state)
{
    (void)state;
    torn(false);
    torn(true);
}

static void single_bytes_make_messages(void **state)
{
    struct reel_splitter splitter;
    struct reel_buf buf;
    unsigned greeted = 0;
    size_t n = 0;

    (void)state;
    make_conversation(&buf, true);
    reel_splitter_init(&splitter, REEL_SP_REQ, true, MAX_BYTES);
    for (size_t i = 0; i < buf.len; i++) {
        feed(&splitter, buf.data + i, 1);
        n = take_all(&splitter, n, &greeted);
    }
    assert_int_equal(n, REEL_ARRAY_SIZE(sizes));
    reel_splitter_fini(&splitter);
    reel_buf_fini(&buf);
}

// Feeds a message as a connection does, and takes it.
static struct reel_slice pass(struct reel_splitter *splitter, const struct reel_buf *buf)
{
    struct reel_slice message = {0};
    size_t done = 0;

    while (done < buf->len) {
        uint8_t *room;
        size_t n = reel_splitter_room(splitter, &room);

        assert_true(n > 0);
        n = n < buf->len - done ? n : buf->len - done;
        memcpy(room, buf->data + done, n);
        reel_splitter_fed(splitter, n);
        done += n;
        assert_int_equal(reel_splitter_next(splitter, &message),
                         done < buf->len ? REEL_SP_MORE : REEL_SP_MESSAGE);
    }
    return message;
}

static void greet(struct reel_splitter *splitter)
{
    uint8_t greeting[REEL_SP_GREETING_BYTES];
    struct reel_slice message;

    reel_sp_write_greeting(greeting, REEL_SP_REQ);
    feed(splitter, (const char *)greeting, sizeof(greeting));
    assert_int_equal(reel_splitter_next(splitter, &message), REEL_SP_GREETED);
}

static void what_is_kept_is_not_overwritten(void **state)
{
    struct reel_splitter splitter;
    struct reel_slice kept[200];
    struct reel_inbound *chunks[200];
    struct reel_buf buf;

    (void)state;
    reel_splitter_init(&splitter, REEL_SP_REQ, false, MAX_BYTES);
    greet(&splitter);
    for (unsigned i = 0; i < 200; i++) {
        // Now and then one that is larger than a chunk.
        size_t len = i % 50 == 49 ? 200000 : 1000 + i;

        reel_buf_init(&buf, 1 << 20);
        put_message(&buf, false, len, (uint8_t)i);
        kept[i] = pass(&splitter, &buf);
        reel_buf_fini(&buf);
        assert_int_equal(kept[i].len, len);
        chunks[i] = reel_inbound_ref(splitter.chunk);
    }
    reel_splitter_fini(&splitter);
    for (unsigned i = 0; i < 200; i++) {
        for (size_t k = 0; k < kept[i].len; k++)
            assert_int_equal(kept[i].data[k], (uint8_t)(i + k * 7));
        reel_inbound_unref(chunks[i]);
    }
    reel_inbound_unref(NULL);
}

static void a_quiet_connection_keeps_one_small_chunk(void **state)
{
    struct reel_splitter splitter;
    struct reel_buf buf;
    uint8_t *room;

    (void)state;
    reel_splitter_init(&splitter, REEL_SP_REQ, false, MAX_BYTES);
    greet(&splitter);
    reel_buf_init(&buf, 2 << 20);
    put_message(&buf, false, MAX_BYTES, 1);
    assert_int_equal(pass(&splitter, &buf).len, MAX_BYTES);
    assert_int_equal(reel_splitter_room(&splitter, &room), REEL_SP_CHUNK_BYTES);
    assert_int_equal(splitter.chunk->cap, REEL_SP_CHUNK_BYTES);
    // The same memory again and again, as long as nobody keeps it.
    const struct reel_inbound *chunk = splitter.chunk;
    for (int i = 0; i < 1000; i++) {
        feed(&splitter, buf.data, 8); // the head of a message that does not come
        splitter.start = splitter.end;
        assert_true(reel_splitter_room(&splitter, &room) > 0);
        assert_ptr_equal(splitter.chunk, chunk);
    }
    reel_buf_fini(&buf);
    reel_splitter_fini(&splitter);
}

static enum reel_sp_event event_of(bool tagged, const char *bytes, size_t len)
{
    struct reel_splitter splitter;
    struct reel_slice message;

    reel_splitter_init(&splitter, REEL_SP_REQ, tagged, MAX_BYTES);
    greet(&splitter);
    feed(&splitter, bytes, len);
    enum reel_sp_event event = reel_splitter_next(&splitter, &message);
    reel_splitter_fini(&splitter);
    return event;
}

static void a_length_beyond_the_limit_is_refused_unseen(void **state)
{
    (void)state;
    assert_int_equal(event_of(false, "\0\0\0\0\0\x10\0\0", 8), REEL_SP_MORE);
    assert_int_equal(event_of(false, "\0\0\0\0\0\x10\0\1", 8), REEL_SP_TOO_LARGE);
    assert_int_equal(event_of(false, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), REEL_SP_TOO_LARGE);
    assert_int_equal(event_of(true, "\1\x80\0\0\0\0\0\0\0", 9), REEL_SP_TOO_LARGE);
    assert_int_equal(event_of(true, "\2", 1), REEL_SP_BROKEN);
}

static enum reel_sp_event greeting_event(const char *bytes, size_t len)
{
    struct reel_splitter splitter;
    struct reel_slice message;

    reel_splitter_init(&splitter, REEL_SP_REQ, false, MAX_BYTES);
    feed(&splitter, bytes, len);
    enum reel_sp_event event = reel_splitter_next(&splitter, &message);
    reel_splitter_fini(&splitter);
    return event;
}

static void another_greeting_is_a_strangers(void **state)
{
    (void)state;
    assert_int_equal(greeting_event("\0SP\0\0\x30\0\0", 8), REEL_SP_GREETED);
    assert_int_equal(greeting_event("\0SP\0\0\x30\0", 7), REEL_SP_MORE);
    assert_int_equal(greeting_event("\0SP\0\0\x31\0\0", 8), REEL_SP_STRANGER);
    assert_int_equal(greeting_event("\0SP\0\0\x30\0\1", 8), REEL_SP_STRANGER);
    assert_int_equal(greeting_event("G", 1), REEL_SP_STRANGER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_greeting_names_the_protocol),
        cmocka_unit_test(the_head_is_eight_bytes_or_tagged),
        cmocka_unit_test(the_route_ends_with_the_request_id),
        cmocka_unit_test(a_tear_at_any_byte_changes_nothing),
        cmocka_unit_test(single_bytes_make_messages),
        cmocka_unit_test(what_is_kept_is_not_overwritten),
        cmocka_unit_test(a_quiet_connection_keeps_one_small_chunk),
        cmocka_unit_test(a_length_beyond_the_limit_is_refused_unseen),
        cmocka_unit_test(another_greeting_is_a_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
