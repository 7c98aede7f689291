// SPDX-License-Identifier: Apache-2.0
// The RPC core's side of the comparison: an echo server, and a client that keeps N calls in flight.
// Usage: reel_bench server URL
//        reel_bench client URL IN_FLIGHT MILLISECONDS   (prints calls, seconds, p50 and p99 in µs)
// IN_FLIGHT 0 is one call at a time by the blocking stub; 1 and more are by callback.
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/core/arena.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/rpc/channel.h"
#include "libcommon/rpc/server.h"
#include "libcommon/svc/svc.h"
#include "tests/bench/bench.reel.h"

enum { PAYLOAD_BYTES = 64, MAX_SAMPLES = 4 << 20, WARM_UP_MS = 300 };

static const char key[] = "bench-key-0123456789";

static int handle_echo(struct bench_svc *svc, struct reel_call *call, const Bench__EchoMessage *req,
                       Bench__EchoMessage *res)
{
    (void)svc;
    (void)call;
    res->payload = req->payload;
    return REEL_OK;
}

static const struct echo_service_impl impl = {.echo = handle_echo};

static int serve(const char *url)
{
    const struct reel_peer_key peer = {.service = "bench", .key = key};
    const struct reel_server_config config = {
        .service = "echo", .urls = &url, .n_urls = 1, .peers = &peer, .n_peers = 1};
    struct reel_server *server = NULL;

    reel_svc_init();
    if (reel_server_new(&config, &server) != 0)
        return 1;
    reel_server_add(server, &echo_service, &impl, NULL);
    const struct reel_svc svc = {.server = server, .grace_us = 200000};
    int status = reel_svc_serve(&svc);
    reel_server_free(server);
    return status;
}

struct load {
    struct reel_channel *channel;
    uint8_t request[PAYLOAD_BYTES + 8];
    size_t request_len;
    int64_t end_us;
    int64_t count_from_us;
    atomic_int in_flight;
    atomic_uint n_samples;
    atomic_uint n_failed;
    uint32_t *samples;
};

struct slot {
    struct load *load;
    int64_t started_us;
};

static void next_call(struct slot *slot);

static void on_reply(void *arg, const struct reel_status *status, const uint8_t *payload,
                     size_t len)
{
    struct slot *slot = arg;
    struct load *load = slot->load;
    int64_t now = reel_clock_mono_us();

    (void)payload;
    if (status->code != REEL_OK || len != load->request_len)
        atomic_fetch_add(&load->n_failed, 1);
    if (now >= load->count_from_us && now < load->end_us) {
        unsigned i = atomic_fetch_add(&load->n_samples, 1);
        if (i < MAX_SAMPLES)
            load->samples[i] = (uint32_t)(now - slot->started_us);
    }
    if (now < load->end_us)
        next_call(slot);
    else
        atomic_fetch_sub(&load->in_flight, 1);
}

static void next_call(struct slot *slot)
{
    slot->started_us = reel_clock_mono_us();
    reel_channel_start(slot->load->channel, &echo_service.methods[ECHO_SERVICE_ECHO], NULL,
                       slot->load->request, slot->load->request_len, on_reply, slot, NULL);
}

// One call at a time, by the blocking stub: what a handler that calls another service waits for.
static void run_blocking(struct load *load)
{
    struct reel_arena arena;
    uint8_t payload[PAYLOAD_BYTES] = {0};
    Bench__EchoMessage request = BENCH__ECHO_MESSAGE__INIT;
    Bench__EchoMessage *response = NULL;

    request.payload = (ProtobufCBinaryData){.data = payload, .len = sizeof(payload)};
    reel_arena_init(&arena, 1 << 20);
    for (int64_t now = reel_clock_mono_us(); now < load->end_us;) {
        int64_t started = now;
        int rc = echo_service_echo(load->channel, NULL, &request, &arena, &response, NULL);
        now = reel_clock_mono_us();
        load->n_failed += rc != REEL_OK;
        if (started >= load->count_from_us && load->n_samples < MAX_SAMPLES)
            load->samples[load->n_samples++] = (uint32_t)(now - started);
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
}

static void run_in_flight(struct load *load, int in_flight)
{
    struct slot *slots = calloc((size_t)in_flight, sizeof(*slots));

    if (!slots)
        return;
    atomic_store(&load->in_flight, in_flight);
    for (int i = 0; i < in_flight; i++) {
        slots[i].load = load;
        next_call(&slots[i]);
    }
    while (atomic_load(&load->in_flight) > 0)
        usleep(5000);
    free(slots);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int report(struct load *load)
{
    unsigned n = load->n_samples < MAX_SAMPLES ? load->n_samples : MAX_SAMPLES;

    if (n == 0 || load->n_failed > 0) {
        fprintf(stderr, "%u calls counted, %u failed\n", n, load->n_failed);
        return 1;
    }
    qsort(load->samples, n, sizeof(uint32_t), by_value);
    printf("%u %.3f %u %u\n", load->n_samples, (double)(load->end_us - load->count_from_us) / 1e6,
           load->samples[n / 2], load->samples[(size_t)n * 99 / 100]);
    return 0;
}

static int measure(const char *url, int in_flight, int ms)
{
    const struct reel_channel_config config = {.url = url, .service = "bench", .key = key};
    struct load load = {.samples = malloc(sizeof(uint32_t) * MAX_SAMPLES)};

    if (!load.samples || reel_channel_open(&config, &load.channel) != 0)
        return 1;
    if (!reel_channel_wait_ready(load.channel, reel_deadline_in_us(5000000))) {
        fprintf(stderr, "%s does not answer\n", url);
        return 1;
    }
    uint8_t payload[PAYLOAD_BYTES] = {0};
    Bench__EchoMessage message = BENCH__ECHO_MESSAGE__INIT;
    message.payload = (ProtobufCBinaryData){.data = payload, .len = sizeof(payload)};
    load.request_len = bench__echo_message__pack(&message, load.request);
    load.count_from_us = reel_deadline_in_us(WARM_UP_MS * 1000);
    load.end_us = load.count_from_us + (int64_t)ms * 1000;
    if (in_flight == 0)
        run_blocking(&load);
    else
        run_in_flight(&load, in_flight);
    int status = report(&load);
    reel_channel_close(load.channel);
    free(load.samples);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        return serve(argv[2]);
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        return measure(argv[2], (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    fprintf(stderr, "usage: reel_bench server URL | client URL IN_FLIGHT MILLISECONDS\n");
    return 2;
}
