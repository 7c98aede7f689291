// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/rpc/fixture.h"

#include <errno.h>
#include <nng/nng.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/rpc/dialer.h"

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fixture: %s\n", what);
    abort();
}

static void sleep_us(int64_t us)
{
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&pause, NULL);
}

static int handle_echo(struct echo_svc *svc, struct reel_call *call, const Echo__EchoRequest *req,
                       Echo__EchoResponse *res)
{
    (void)svc;
    (void)call;
    res->payload = req->payload;
    return REEL_OK;
}

static int64_t left_us(struct reel_call *call)
{
    return reel_deadline_left_us(reel_call_deadline_us(call));
}

static void work_sleep(struct echo_svc *svc, struct reel_call *call, const Echo__WorkRequest *req)
{
    int64_t until_us = reel_deadline_in_us((int64_t)req->sleep_ms * 1000);

    if (req->sleep_ms == 0 && !req->until_cancelled)
        return;
    while (req->until_cancelled || !reel_deadline_passed(until_us)) {
        if (reel_call_cancelled(call)) {
            atomic_store(&svc->cancelled_at_us, reel_clock_mono_us());
            atomic_fetch_add(&svc->cancelled, 1);
            return;
        }
        sleep_us(500);
    }
}

static int handle_work(struct echo_svc *svc, struct reel_call *call, const Echo__WorkRequest *req,
                       Echo__WorkResponse *res)
{
    atomic_fetch_add(&svc->started, 1);
    res->left_us = left_us(call);
    work_sleep(svc, call, req);
    atomic_fetch_add(&svc->finished, 1);
    if (reel_call_cancelled(call))
        return REEL_CANCELLED;
    if (req->violation[0])
        reel_call_violation(call, req->violation, "must be better");
    if (req->retry_after_ms)
        reel_call_retry_after_ms(call, req->retry_after_ms);
    if (req->policy[0])
        reel_call_quota(call, req->policy, 10, 900);
    if (req->code != 0)
        return reel_call_fail(call, req->code, "%s", req->message);
    res->padding.len = req->answer_bytes;
    if (req->answer_bytes) {
        res->padding.data = reel_arena_zalloc(reel_call_arena(call), req->answer_bytes);
        if (!res->padding.data)
            return REEL_RESOURCE_EXHAUSTED;
    }
    return REEL_OK;
}

static void handle_together(void *arg, struct reel_gathered *calls, size_t n)
{
    struct echo_svc *svc = arg;

    atomic_fetch_add(&svc->started, (unsigned)n);
    while (atomic_load(&svc->hold))
        sleep_us(500);
    for (size_t i = 0; i < n; i++) {
        const Echo__WorkRequest *req = calls[i].req;
        Echo__WorkResponse *res = calls[i].res;

        res->left_us = left_us(calls[i].call);
        if (req->code != 0)
            calls[i].rc = reel_call_fail(calls[i].call, req->code, "%s", req->message);
    }
}

static char *copy(struct reel_call *call, const char *s)
{
    return reel_arena_strdup(reel_call_arena(call), s ? s : "");
}

static int handle_who_am_i(struct echo_svc *svc, struct reel_call *call,
                           const Echo__WhoAmIRequest *req, Echo__WhoAmIResponse *res)
{
    (void)svc;
    res->peer = copy(call, reel_call_peer(call));
    res->user_id = copy(call, reel_call_user_id(call));
    res->session_id = copy(call, reel_call_session_id(call));
    res->request_id = copy(call, reel_call_request_id(call));
    res->metadata_value = copy(call, reel_call_metadata(call, req->metadata_key));
    return REEL_OK;
}

static int handle_relay(struct echo_svc *svc, struct reel_call *call, const Echo__RelayRequest *req,
                        Echo__WorkResponse *res)
{
    struct reel_call_options options = {.parent = call};
    struct reel_status status;
    Echo__WorkResponse *answer;
    int rc;

    if (!svc->next)
        return reel_call_fail(call, REEL_FAILED_PRECONDITION, "there is no next server");
    if (req->hops > 1) {
        Echo__RelayRequest next = *req;

        next.hops--;
        rc =
            echo_service_relay(svc->next, &options, &next, reel_call_arena(call), &answer, &status);
    } else {
        rc = echo_service_work(svc->next, &options, req->work, reel_call_arena(call), &answer,
                               &status);
    }
    if (rc != REEL_OK)
        return reel_call_fail(call, rc, "%s", status.message);
    *res = *answer;
    return REEL_OK;
}

static int handle_checked(struct echo_svc *svc, struct reel_call *call,
                          const Echo__CheckedRequest *req, Echo__WorkResponse *res)
{
    (void)req;
    (void)res;
    (void)call;
    atomic_fetch_add(&svc->started, 1);
    return REEL_OK;
}

static int handle_split(struct echo_svc *svc, struct reel_call *call, const Echo__SplitRequest *req)
{
    Echo__Chunk chunk = ECHO__CHUNK__INIT;

    atomic_fetch_add(&svc->started, 1);
    chunk.data.len = req->chunk_bytes;
    chunk.data.data = reel_arena_zalloc(reel_call_arena(call), req->chunk_bytes);
    require(chunk.data.data != NULL, "chunk memory");
    for (uint32_t i = 0; i < req->count; i++) {
        int rc = reel_call_send(call, &chunk.base);

        if (rc != REEL_OK) {
            atomic_store(&svc->cancelled_at_us, reel_clock_mono_us());
            atomic_fetch_add(&svc->cancelled, 1);
            return rc;
        }
    }
    atomic_fetch_add(&svc->finished, 1);
    return req->code ? reel_call_fail(call, req->code, "as asked") : REEL_OK;
}

static int handle_join(struct echo_svc *svc, struct reel_call *call, Echo__JoinResponse *res)
{
    struct reel_arena arena;
    ProtobufCMessage *message;
    int rc;

    atomic_fetch_add(&svc->started, 1);
    reel_arena_init(&arena, 8 << 20);
    while ((rc = reel_call_recv(call, &arena, &message)) == REEL_OK && message) {
        res->chunks++;
        res->bytes += ((Echo__Chunk *)(void *)message)->data.len;
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
    if (rc != REEL_OK) {
        atomic_store(&svc->cancelled_at_us, reel_clock_mono_us());
        atomic_fetch_add(&svc->cancelled, 1);
    }
    return rc;
}

static int handle_chat(struct echo_svc *svc, struct reel_call *call)
{
    struct reel_arena arena;
    ProtobufCMessage *message;
    int rc;

    (void)svc;
    reel_arena_init(&arena, 8 << 20);
    while ((rc = reel_call_recv(call, &arena, &message)) == REEL_OK && message) {
        rc = reel_call_send(call, message);
        if (rc != REEL_OK)
            break;
        reel_arena_reset(&arena);
    }
    reel_arena_fini(&arena);
    return rc;
}

static const struct echo_service_impl impl = {
    .echo = handle_echo,
    .echo_blocking = handle_echo,
    .work = handle_work,
    .who_am_i = handle_who_am_i,
    .for_users = handle_who_am_i,
    .relay = handle_relay,
    .checked = handle_checked,
    .split = handle_split,
    .join = handle_join,
    .chat = handle_chat,
};

static const struct reel_peer_key peers[] = {
    {.service = "gateway",
     .key = FIXTURE_KEY,
     .previous_key = FIXTURE_PREVIOUS_KEY,
     .may_speak_for_users = true},
    {.service = "job", .key = FIXTURE_JOB_KEY},
};

void fixture_start(struct fixture *fixture, const struct reel_server_config *config,
                   const char *url)
{
    const char *urls[] = {url ? url : "tcp://127.0.0.1:0"};
    struct reel_server_config own = config ? *config : (struct reel_server_config){0};

    memset(fixture, 0, sizeof(*fixture));
    own.service = "echo";
    own.urls = urls;
    own.n_urls = 1;
    own.peers = peers;
    own.n_peers = REEL_ARRAY_SIZE(peers);
    require(reel_server_new(&own, &fixture->server) == 0, "reel_server_new");
    reel_server_add(fixture->server, &echo_service, &impl, &fixture->svc);
    reel_server_gather(fixture->server, &echo_service.methods[ECHO_SERVICE_TOGETHER],
                       handle_together);
    require(reel_server_start(fixture->server) == 0, "reel_server_start");
    snprintf(fixture->url, sizeof(fixture->url), "%s", reel_server_url(fixture->server, 0));
}

void fixture_stop(struct fixture *fixture)
{
    reel_server_free(fixture->server);
    fixture->server = NULL;
}

struct reel_channel *fixture_open(const char *url, const char *service, const char *key)
{
    struct reel_channel_config config = {.url = url, .service = service, .key = key};
    struct reel_channel *channel;

    require(reel_channel_open(&config, &channel) == 0, "reel_channel_open");
    return channel;
}

struct reel_channel *fixture_connect(const struct fixture *fixture)
{
    struct reel_channel *channel = fixture_open(fixture->url, "gateway", FIXTURE_KEY);

    require(reel_channel_wait_ready(channel, reel_deadline_in_us(10 * 1000000)), "connecting");
    return channel;
}

int fixture_echo(struct reel_channel *channel, size_t len)
{
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoResponse *response;
    struct reel_arena arena;
    struct reel_status status;

    reel_arena_init(&arena, len + 4096);
    request.payload.len = len;
    request.payload.data = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        request.payload.data[i] = (uint8_t)(i * 31);
    int rc = echo_service_echo(channel, NULL, &request, &arena, &response, &status);
    if (rc == REEL_OK)
        require(response->payload.len == len &&
                    (len == 0 || memcmp(response->payload.data, request.payload.data, len) == 0),
                "the echo differs");
    free(request.payload.data);
    reel_arena_fini(&arena);
    return rc;
}

int fixture_work(struct reel_channel *channel, const struct reel_call_options *options,
                 const Echo__WorkRequest *request, struct reel_arena *arena,
                 Echo__WorkResponse **ret_response, struct reel_status *ret_status)
{
    return echo_service_work(channel, options, request, arena, ret_response, ret_status);
}

void fixture_ipc_url(char *ret_url, size_t size)
{
    char directory[] = "/tmp/reel-rpc-XXXXXX";

    require(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(ret_url, size, "ipc://%s/sock", directory);
}

bool fixture_wait(atomic_uint *counter, unsigned value, unsigned ms)
{
    int64_t deadline_us = reel_deadline_in_us((int64_t)ms * 1000);

    while (atomic_load(counter) < value && !reel_deadline_passed(deadline_us))
        sleep_us(500);
    return atomic_load(counter) >= value;
}

size_t fixture_rss_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long total = 0;
    unsigned long resident = 0;

    require(statm && fscanf(statm, "%lu %lu", &total, &resident) == 2, "statm");
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void retire(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    (void)arg;
    reel_dialer_retire((uint32_t)nng_pipe_id(pipe));
}

int fixture_dial(uint32_t socket, const char *url)
{
    nng_socket dialing = {.id = socket};
    int rv = nng_pipe_notify(dialing, NNG_PIPE_EV_REM_POST, retire, NULL);

    return rv != 0 ? rv : nng_dial(dialing, url, NULL, 0);
}

static void on_done(void *arg, const struct reel_status *status, const uint8_t *payload,
                    size_t payload_len)
{
    struct fixture_outcome *outcome = arg;

    (void)payload;
    (void)payload_len;
    outcome->code = status->code;
    outcome->retry_after_ms = status->retry_after_ms;
    snprintf(outcome->message, sizeof(outcome->message), "%s", status->message);
    atomic_fetch_add(&outcome->done, 1);
}

struct reel_client_call *fixture_start_call(struct reel_channel *channel, unsigned method,
                                            const struct reel_call_options *options,
                                            const ProtobufCMessage *request,
                                            struct fixture_outcome *outcome)
{
    uint8_t packed[256];
    size_t len = protobuf_c_message_pack(request, packed);
    struct reel_client_call *call;

    reel_channel_start(channel, &echo_service.methods[method], options, packed, len, on_done,
                       outcome, &call);
    return call;
}

struct reel_client_call *fixture_start_work(struct reel_channel *channel, uint32_t sleep_ms,
                                            struct fixture_outcome *outcome)
{
    Echo__WorkRequest request = ECHO__WORK_REQUEST__INIT;

    request.sleep_ms = sleep_ms;
    request.until_cancelled = sleep_ms == 0;
    return fixture_start_call(channel, ECHO_SERVICE_WORK, NULL, &request.base, outcome);
}
