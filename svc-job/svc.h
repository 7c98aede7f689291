// SPDX-License-Identifier: Apache-2.0
// The job service as a whole: what its handlers share, and its life.
#pragma once

#include <stdbool.h>

#include "svc-job/inspect.h"
#include "svc-job/run.h"

struct reconciler;
struct supervisor;
struct reel_server;

struct job_svc {
    const struct job_config *config;
    struct run_env env;
    struct inspector inspector;
    struct permits encodes;
    struct permits inspections;
    struct reel_publisher *publisher;
    struct supervisor *supervisor;
    struct reconciler *reconciler;
    struct reel_server *server; // not started yet
    bool is_warned;             // of a Redis that may drop keys
};

// Opens everything but the server's listeners and starts the workers. PostgreSQL and Redis may be
// away. `config` and `zygote` are borrowed for the life of the service.
int job_svc_new(const struct job_config *config, struct worker_zygote *zygote,
                struct job_svc **ret_svc) REEL_MUST_CHECK;

// Waits until running jobs have ended or are handed back (within the grace that job_svc_drain
// gave), stops and frees. NULL is fine. The server must have drained.
void job_svc_free(struct job_svc *svc);

// Whether database, queue and workers can be used; for reel_svc. `svc` is a struct
// job_svc.
bool job_svc_is_ready(void *svc);

// Stops claiming jobs; for reel_svc. `svc` is a struct job_svc.
void job_svc_drain(void *svc);

// Serves until SIGTERM; returns the process's exit status.
int job_svc_serve(const struct job_config *config, struct worker_zygote *zygote);

// Applies the database migrations; returns the process's exit status.
int job_svc_migrate(const struct job_config *config);
