// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/rpc/raw.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/rpc/fixture.h"

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "raw: %s\n", what);
    abort();
}

void raw_dial(struct raw *raw, const char *url)
{
    nng_socket socket;

    require(nng_req0_open_raw(&socket) == 0, "open");
    require(fixture_dial(socket.id, url) == 0, "dial");
    *raw = (struct raw){.socket = socket.id};
}

void raw_listen(struct raw *raw, char *ret_url, size_t size)
{
    nng_listener listener;
    nng_socket socket;
    int port;

    require(nng_rep0_open_raw(&socket) == 0, "open");
    require(nng_listen(socket, "tcp://127.0.0.1:0", &listener, 0) == 0, "listen");
    require(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0, "port");
    snprintf(ret_url, size, "tcp://127.0.0.1:%d", port);
    *raw = (struct raw){.socket = socket.id};
}

static void drop(struct raw_packet *packet)
{
    if (packet->msg)
        nng_msg_free(packet->msg);
    *packet = (struct raw_packet){0};
}

void raw_close(struct raw *raw, struct raw_packet *packet)
{
    if (packet)
        drop(packet);
    nng_close((nng_socket){.id = raw->socket});
}

void raw_send_bytes(struct raw *raw, const void *bytes, size_t len)
{
    nng_msg *msg;

    require(nng_msg_alloc(&msg, 0) == 0, "alloc");
    require(nng_msg_append(msg, bytes, len) == 0, "append");
    if (raw->pipe != 0)
        require(nng_msg_header_append_u32(msg, raw->pipe) == 0, "header");
    require(nng_msg_header_append_u32(msg, 0x80000001u) == 0, "header");
    require(nng_sendmsg((nng_socket){.id = raw->socket}, msg, 0) == 0, "send");
}

void raw_send(struct raw *raw, uint32_t version, uint32_t ack, const struct reel_frame *frame)
{
    struct reel_buf buf;

    reel_buf_init(&buf, 16 << 20);
    // By hand, because reel_packet_head knows only our own version.
    reel_buf_addc(&buf, 0x08);
    reel_buf_addc(&buf, (char)version);
    reel_buf_addc(&buf, 0x10);
    reel_buf_addc(&buf, (char)ack);
    if (frame)
        reel_frame_write(&buf, frame);
    raw_send_bytes(raw, buf.data, buf.len);
    reel_buf_fini(&buf);
}

bool raw_receive(struct raw *raw, int ms, struct raw_packet *packet)
{
    nng_socket socket = {.id = raw->socket};

    drop(packet);
    require(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, ms) == 0, "timeout");
    if (nng_recvmsg(socket, &packet->msg, 0) != 0) {
        packet->msg = NULL;
        return false;
    }
    if (nng_msg_header_len(packet->msg) > 4)
        raw->pipe = nng_msg_get_pipe(packet->msg).id;
    require(reel_packet_open(nng_msg_body(packet->msg), nng_msg_len(packet->msg), &packet->packet),
            "packet");
    packet->rest = packet->packet;
    packet->has_frame = reel_packet_next(&packet->rest, &packet->frame) == 1;
    return true;
}

bool raw_await(struct raw *raw, uint32_t kind, struct raw_packet *packet)
{
    // What one packet holds, another time may come in two.
    while (packet->msg && reel_packet_next(&packet->rest, &packet->frame) == 1)
        if (packet->frame.kind == kind)
            return true;
    while (raw_receive(raw, 3000, packet))
        while (packet->has_frame) {
            if (packet->frame.kind == kind)
                return true;
            packet->has_frame = reel_packet_next(&packet->rest, &packet->frame) == 1;
        }
    return false;
}
