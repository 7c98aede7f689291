// SPDX-License-Identifier: Apache-2.0
#include "svc-job/svc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/rpc/bus.h"
#include "libcommon/rpc/server.h"
#include "libcommon/svc/settings.h"
#include "libcommon/svc/svc.h"
#include "proto/job.reel.h"
#include "svc-job/handlers.h"
#include "svc-job/migrations.gen.h"
#include "svc-job/reconciler.h"
#include "svc-job/supervisor.h"

enum {
    CHECK_US = 1000 * 1000,
    INSPECTIONS_PER_CPU = 2,
    REDIS_TIMEOUT_MS = 2000,
    // Beside the slots: dispatcher, keeper, reconciler, handlers.
    SPARE_CONNECTIONS = 8,
};

// Finished jobs stay in Redis for dashboards, not for ever. The record is PostgreSQL's.
static const char keep_completed[] = "{\"age\":86400,\"count\":1000}";
static const char keep_failed[] = "{\"age\":604800,\"count\":5000}";

static int open_queue(struct job_svc *svc)
{
    const struct job_config *config = svc->config;
    char host[64] = "";
    char worker[96];

    gethostname(host, sizeof(host) - 1);
    snprintf(worker, sizeof(worker), "reel-job-%s-%d", host, (int)getpid());
    return queue_open(
        &(struct queue_config){
            .redis_url = config->redis_url,
            .prefix = config->queue_prefix,
            .name = config->queue_name,
            .worker = worker,
            .max_connections = (unsigned)config->workers + SPARE_CONNECTIONS,
            .lock_ms = (uint32_t)config->lock_ms,
            .timeout_ms = REDIS_TIMEOUT_MS,
            .keep_completed = keep_completed,
            .keep_failed = keep_failed,
        },
        &svc->env.queue);
}

static int open_stores(struct job_svc *svc)
{
    const struct job_config *config = svc->config;
    const struct reel_pg_config pg = {
        .url = config->database_url,
        .application = "reel-job",
        .max_connections = (unsigned)config->workers + SPARE_CONNECTIONS,
    };

    int rc = reel_pg_new(&pg, &svc->env.pg);
    if (rc == REEL_OK)
        rc = reel_storage_new(config->storage_dir, &svc->env.storage);
    if (rc == REEL_OK)
        rc = open_queue(svc);
    if (rc == REEL_OK)
        rc = reel_publisher_open(config->events_listen, &svc->publisher);
    if (rc == REEL_OK)
        rc = feed_open(svc->env.pg, svc->publisher, &svc->env.feed);
    return rc;
}

static int start_workers(struct job_svc *svc)
{
    int rc = supervisor_start(&svc->env, (unsigned)svc->config->workers, &svc->supervisor);

    return rc == REEL_OK ? reconciler_start(&svc->env, &svc->reconciler) : rc;
}

int job_svc_new(const struct job_config *config, struct worker_zygote *zygote,
                struct job_svc **ret_svc)
{
    struct job_svc *svc = calloc(1, sizeof(*svc));
    unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

    if (svc == NULL)
        return -ENOMEM;
    svc->config = config;
    svc->env.config = config;
    svc->env.zygote = zygote;
    svc->env.encodes = &svc->encodes;
    atomic_init(&svc->env.not_before_us, REEL_NO_DEADLINE);
    permits_init(&svc->encodes, config->encodes > 0 ? (unsigned)config->encodes : cpus + 1);
    permits_init(&svc->inspections, cpus * INSPECTIONS_PER_CPU);
    int rc = open_stores(svc);
    svc->inspector = (struct inspector){svc->env.storage, zygote, &svc->inspections};
    if (rc == REEL_OK)
        rc = start_workers(svc);
    if (rc != REEL_OK) {
        job_svc_free(svc);
        return rc;
    }
    *ret_svc = svc;
    return REEL_OK;
}

void job_svc_free(struct job_svc *svc)
{
    if (svc == NULL)
        return;
    supervisor_stop(svc->supervisor);
    reconciler_stop(svc->reconciler);
    feed_close(svc->env.feed);
    reel_publisher_close(svc->publisher);
    queue_close(svc->env.queue);
    reel_storage_free(svc->env.storage);
    reel_pg_free(svc->env.pg);
    permits_fini(&svc->encodes);
    permits_fini(&svc->inspections);
    free(svc);
}

bool job_svc_is_ready(void *arg)
{
    struct job_svc *svc = arg;
    bool is_noeviction = true;

    if (!worker_zygote_is_alive(svc->env.zygote) ||
        !reel_pg_is_up(svc->env.pg, reel_deadline_in_us(CHECK_US)) ||
        queue_ping(svc->env.queue, reel_deadline_in_us(CHECK_US), &is_noeviction) != REEL_OK)
        return false;
    if (!is_noeviction && !svc->is_warned) {
        svc->is_warned = true;
        reel_log(REEL_LOG_WARN, "queue.may_evict",
                 REEL_FS("what", "Redis may drop jobs when memory is short; set maxmemory-policy "
                                 "noeviction"));
    }
    return true;
}

void job_svc_drain(void *arg)
{
    struct job_svc *svc = arg;
    int64_t grace_us = svc->config->grace_ms * 1000;

    supervisor_drain(svc->supervisor, reel_clock_mono_us() + grace_us);
}

static int serve(struct job_svc *svc)
{
    const struct job_config *config = svc->config;
    struct reel_settings_urls listen;
    struct reel_server *server = NULL;

    if (reel_settings_urls_init(&listen, "REEL_JOB_LISTEN", config->listen) != REEL_OK)
        return 1;
    const struct reel_server_config server_config = {
        .service = "job",
        .urls = listen.urls,
        .n_urls = listen.n,
        .peers = config->peers,
        .n_peers = JOB_N_PEERS,
    };
    int status = reel_server_new(&server_config, &server) == REEL_OK ? 0 : 1;
    if (status == 0) {
        reel_server_add(server, &job_service, &job_handlers, svc);
        status = reel_svc_serve(&(struct reel_svc){
            .server = server,
            .grace_us = config->grace_ms * 1000,
            .metrics_port = config->metrics_port,
            .is_ready = job_svc_is_ready,
            .on_drain = job_svc_drain,
            .arg = svc,
        });
    }
    reel_server_free(server);
    reel_settings_urls_fini(&listen);
    return status;
}

int job_svc_serve(const struct job_config *config, struct worker_zygote *zygote)
{
    struct job_svc *svc = NULL;

    int rc = job_svc_new(config, zygote, &svc);
    if (rc != REEL_OK) {
        reel_log(REEL_LOG_ERROR, "svc.not_started", REEL_FS("code", reel_code_name(rc)),
                 REEL_FI("rc", rc));
        return 1;
    }
    int status = serve(svc);
    job_svc_free(svc);
    return worker_zygote_is_alive(zygote) ? status : 1;
}

int job_svc_migrate(const struct job_config *config)
{
    int rc = reel_pg_migrate(config->database_url, "job", migrations, REEL_ARRAY_SIZE(migrations));

    if (rc != REEL_OK)
        reel_log(REEL_LOG_ERROR, "svc.not_migrated", REEL_FS("code", reel_code_name(rc)),
                 REEL_FI("rc", rc));
    return rc == REEL_OK ? 0 : 1;
}
