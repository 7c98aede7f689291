// SPDX-License-Identifier: Apache-2.0
// The hand-written codec beside protobuf-c's, which is generated from proto/rpc.proto.
#include <string.h>

#include "libcommon/core/arena.h"
#include "libcommon/rpc/wire.h"
#include "proto/rpc.pb-c.h"
#include "tests/lib/cmocka.h"

static const struct reel_metadata metadata[] = {{"reel-user-id", "u"}, {"x", ""}};
static const struct reel_violation violations[] = {{"params.width", "too large"}, {"", "b"}};

static struct reel_frame full_frame(void)
{
    return (struct reel_frame){
        .kind = REEL_FRAME_REQUEST,
        .call_id = UINT64_MAX,
        .method = reel_slice_of("/user.UserService/Login"),
        .timeout_us = 1234567,
        .payload = reel_slice_of("payload"),
        .has_payload = true,
        .has_status = true,
        .has_hello = true,
        .code = 16,
        .message = reel_slice_of("why"),
        .retry_after_ms = 300,
        .policy = reel_slice_of("login"),
        .quota = 10,
        .window_s = 900,
        .credit = 1 << 20,
        .hello = {.service = reel_slice_of("gateway"),
                  .key = reel_slice_of("k3y"),
                  .window = 32,
                  .stream_credit = 262144,
                  .max_message_bytes = 4 << 20},
        .metadata = metadata,
        .n_metadata = 2,
        .violations = violations,
        .n_violations = 2,
    };
}

static size_t write_packet(struct reel_buf *buf, const struct reel_frame *frames, size_t n)
{
    uint8_t head[REEL_PACKET_HEAD_MAX];

    reel_buf_add(buf, head, reel_packet_head(head, 70000));
    for (size_t i = 0; i < n; i++)
        reel_frame_write(buf, &frames[i]);
    assert_false(buf->failed);
    return buf->len;
}

static void assert_slice(struct reel_slice slice, const char *text)
{
    assert_true(reel_slice_is(slice, text));
}

static void protobuf_c_reads_what_is_written(void **state)
{
    const struct reel_frame frames[] = {full_frame(), {.kind = REEL_FRAME_PING}};
    REEL_AUTO(reel_arena_fini) struct reel_arena arena;
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_arena_init(&arena, 1 << 20);
    reel_buf_init(&buf, 1 << 20);
    size_t len = write_packet(&buf, frames, 2);
    const Rpc__Packet *p =
        rpc__packet__unpack(reel_arena_pb(&arena), len, (const uint8_t *)buf.data);
    assert_non_null(p);
    assert_int_equal(p->version, REEL_WIRE_VERSION);
    assert_int_equal(p->ack, 70000);
    assert_int_equal(p->n_frames, 2);
    const Rpc__Frame *f = p->frames[0];
    assert_true(f->call_id == UINT64_MAX && f->timeout_us == 1234567 && f->credit == 1 << 20);
    assert_string_equal(f->method, "/user.UserService/Login");
    assert_int_equal(f->content_case, RPC__FRAME__CONTENT_PAYLOAD);
    assert_memory_equal(f->payload.data, "payload", 7);
    assert_int_equal(f->n_metadata, 2);
    assert_string_equal(f->metadata[0]->key, "reel-user-id");
    assert_string_equal(f->metadata[1]->value, "");
    assert_int_equal(f->status->code, 16);
    assert_string_equal(f->status->violations[1]->description, "b");
    assert_int_equal(f->status->retry_after_ms, 300);
    assert_string_equal(f->status->policy, "login");
    assert_true(f->status->quota == 10 && f->status->window_s == 900);
    assert_string_equal(f->hello->key, "k3y");
    assert_int_equal(f->hello->max_message_bytes, 4 << 20);
    assert_int_equal(p->frames[1]->kind, RPC__FRAME_KIND__PING);
    assert_int_equal(p->frames[1]->content_case, RPC__FRAME__CONTENT__NOT_SET);
}

static void what_protobuf_c_writes_is_read(void **state)
{
    Rpc__Packet packet = RPC__PACKET__INIT;
    Rpc__Frame frame;
    Rpc__Frame *frames[] = {&frame};
    uint8_t packed[256];
    struct reel_packet p;
    struct reel_frame f;

    (void)state;
    rpc__frame__init(&frame);
    frame.kind = RPC__FRAME_KIND__RESPONSE;
    frame.call_id = 300;
    frame.content_case = RPC__FRAME__CONTENT_PAYLOAD; // empty, which is not the same as none
    packet.version = 1;
    packet.frames = frames;
    packet.n_frames = 1;
    size_t len = rpc__packet__pack(&packet, packed);
    assert_true(reel_packet_open(packed, len, &p));
    assert_true(p.has_frames && p.version == 1 && p.ack == 0);
    assert_int_equal(reel_packet_next(&p, &f), 1);
    assert_int_equal(f.kind, REEL_FRAME_RESPONSE);
    assert_true(f.call_id == 300 && f.has_payload && f.payload.len == 0);
    assert_false(f.has_status || f.has_hello);
    assert_int_equal(reel_packet_next(&p, &f), 0);
}

static void every_field_survives_the_round_trip(void **state)
{
    const struct reel_frame frame = full_frame();
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;
    struct reel_slice first, second;
    struct reel_packet p;
    struct reel_frame f;
    size_t cursor = 0;

    (void)state;
    reel_buf_init(&buf, 1 << 20);
    size_t len = write_packet(&buf, &frame, 1);
    assert_true(reel_packet_open((const uint8_t *)buf.data, len, &p));
    assert_int_equal(reel_packet_next(&p, &f), 1);
    assert_slice(f.method, "/user.UserService/Login");
    assert_slice(f.payload, "payload");
    assert_slice(f.message, "why");
    assert_slice(f.policy, "login");
    assert_true(f.retry_after_ms == 300 && f.quota == 10 && f.window_s == 900);
    assert_slice(f.hello.service, "gateway");
    assert_true(f.hello.window == 32 && f.hello.stream_credit == 262144);
    assert_true(reel_frame_next_metadata(&f, &cursor, &first, &second));
    assert_slice(first, "reel-user-id");
    assert_slice(second, "u");
    assert_true(reel_frame_next_metadata(&f, &cursor, &first, &second));
    assert_int_equal(second.len, 0);
    assert_false(reel_frame_next_metadata(&f, &cursor, &first, &second));
    cursor = 0;
    assert_true(reel_frame_next_violation(&f, &cursor, &first, &second));
    assert_slice(first, "params.width");
    assert_true(reel_frame_next_violation(&f, &cursor, &first, &second));
    assert_false(reel_frame_next_violation(&f, &cursor, &first, &second));
}

static void a_tail_written_apart_is_the_same_frame(void **state)
{
    struct reel_frame whole = full_frame();
    struct reel_frame split = full_frame();
    REEL_AUTO(reel_buf_fini) struct reel_buf tail, a, b;

    (void)state;
    reel_buf_init(&tail, 1 << 20);
    reel_buf_init(&a, 1 << 20);
    reel_buf_init(&b, 1 << 20);
    reel_frame_write_tail(&tail, &whole);
    split.method = reel_slice_of(NULL);
    split.n_metadata = 0;
    split.has_payload = false;
    split.tail = (struct reel_slice){(const uint8_t *)tail.data, tail.len};
    reel_frame_write(&a, &whole);
    reel_frame_write(&b, &split);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_int_equal(reel_frame_extent((const uint8_t *)a.data, a.len), a.len);
}

static void a_full_buffer_fails_and_holds_whole_frames(void **state)
{
    const struct reel_frame frame = full_frame();

    (void)state;
    for (size_t max = 0; max < 150; max += 7) {
        REEL_AUTO(reel_buf_fini) struct reel_buf buf;

        reel_buf_init(&buf, max);
        reel_frame_write(&buf, &frame);
        assert_true(buf.failed);
        assert_int_equal(buf.len, 0);
    }
}

static int walk(const uint8_t *data, size_t len)
{
    struct reel_packet p;
    struct reel_frame f;
    int rc = -1;

    if (!reel_packet_open(data, len, &p))
        return -1;
    while ((rc = reel_packet_next(&p, &f)) > 0) {
        struct reel_slice first, second;
        size_t cursor = 0;

        while (reel_frame_next_metadata(&f, &cursor, &first, &second))
            assert_true(first.data >= data && first.data + first.len <= data + len);
        cursor = 0;
        while (reel_frame_next_violation(&f, &cursor, &first, &second))
            assert_true(second.data >= data && second.data + second.len <= data + len);
    }
    return rc;
}

// A copy on the heap of the exact length lets the address sanitizer see a read past the end.
static void every_cut_and_every_flipped_bit_stays_inside(void **state)
{
    const struct reel_frame frame = full_frame();
    REEL_AUTO(reel_buf_fini) struct reel_buf buf;

    (void)state;
    reel_buf_init(&buf, 1 << 20);
    size_t len = write_packet(&buf, &frame, 1);
    for (size_t n = 1; n < len; n++) {
        REEL_AUTO(reel_freep) uint8_t *cut = malloc(n);

        memcpy(cut, buf.data, n);
        assert_true(walk(cut, n) <= 0);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        REEL_AUTO(reel_freep) uint8_t *flipped = malloc(len);

        memcpy(flipped, buf.data, len);
        flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        walk(flipped, len);
    }
}

static void malformed_packets_are_refused(void **state)
{
    static const struct reel_slice cases[] = {
        {(const uint8_t *)"\x80", 1},         // cut-off tag
        {(const uint8_t *)"\x00\x00", 2},     // field 0
        {(const uint8_t *)"\x0b", 1},         // a group
        {(const uint8_t *)"\x0a\x00", 2},     // version as bytes
        {(const uint8_t *)"\x18\x00", 2},     // frames as a number
        {(const uint8_t *)"\x1a\x05\x08", 3}, // longer than the packet
        {(const uint8_t *)"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {(const uint8_t *)"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
        {(const uint8_t *)"\x1a\x02\x0a\x00", 4},         // kind as bytes
        {(const uint8_t *)"\x1a\x02\x18\x01", 4},         // method as a number
        {(const uint8_t *)"\x1a\x04\x2a\x02\x0a\x05", 6}, // metadata beyond its frame
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        if (walk(cases[i].data, cases[i].len) >= 0)
            fail_msg("case %zu is taken", i);
    }
}

static void a_malformed_frame_does_not_hide_the_next(void **state)
{
    static const uint8_t data[] = {0x1a, 4, 0x10, 7, 0x0a, 0, 0x1a, 2, 0x10, 9};
    struct reel_packet p;
    struct reel_frame f;

    (void)state;
    assert_true(reel_packet_open(data, sizeof(data), &p));
    assert_int_equal(reel_packet_next(&p, &f), -1);
    assert_int_equal(f.call_id, 7);
    assert_int_equal(reel_packet_next(&p, &f), 1);
    assert_int_equal(f.call_id, 9);
    assert_int_equal(reel_packet_next(&p, &f), 0);
}

static void fields_of_later_versions_are_passed_over(void **state)
{
    static const uint8_t data[] = {0x50, 1, 0x5a, 1, 'x', 0x1a, 5, 0x10, 9, 0x5a, 1, 'x'};

    (void)state;
    assert_int_equal(walk(data, sizeof(data)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_c_reads_what_is_written),
        cmocka_unit_test(what_protobuf_c_writes_is_read),
        cmocka_unit_test(every_field_survives_the_round_trip),
        cmocka_unit_test(a_tail_written_apart_is_the_same_frame),
        cmocka_unit_test(a_full_buffer_fails_and_holds_whole_frames),
        cmocka_unit_test(every_cut_and_every_flipped_bit_stays_inside),
        cmocka_unit_test(malformed_packets_are_refused),
        cmocka_unit_test(a_malformed_frame_does_not_hide_the_next),
        cmocka_unit_test(fields_of_later_versions_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
