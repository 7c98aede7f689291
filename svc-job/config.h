// SPDX-License-Identifier: Apache-2.0
// The settings of the job service; config.c is the table that fills them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/core/base.h"
#include "libcommon/rpc/server.h"

// The services that may call; indexes into peers.
enum { JOB_PEER_GATEWAY, JOB_PEER_VIDEO, JOB_PEER_TOOL, JOB_N_PEERS };

struct job_config {
    const char *log_level;
    const char *listen;        // comma-separated URLs
    const char *events_listen; // URL of the event socket
    const char *database_url;
    const char *redis_url;
    const char *storage_dir;
    struct reel_peer_key peers[JOB_N_PEERS];
    const char *queue_prefix;
    const char *queue_name;
    int64_t workers;         // active jobs in the whole fleet
    int64_t encodes;         // worker processes at once on this machine; 0: processors + 1
    int64_t grace_ms;        // for running jobs and calls after SIGTERM
    int64_t metrics_port;    // of 127.0.0.1; 0: none
    int64_t lock_ms;         // of a job's lock without renewal
    int64_t sweep_ms;        // between sweeps for jobs of lost workers
    int64_t max_stalled;     // how often a job may lose its worker service
    int64_t attempts;        // default of a job
    int64_t backoff_ms;      // before the second attempt; doubles
    int64_t max_crashes;     // worker processes that a job may crash
    int64_t events_age_s;    // of a recorded event
    int64_t history_age_s;   // of a finished job
    int64_t worker_memory;   // bytes
    int64_t worker_stall_ms; // without the worker getting on
    bool migrate;
};

// Fills the settings from defaults, environment and flags; as reel_config_load.
int job_config_load(int argc, char **argv, struct job_config *ret_config) REEL_MUST_CHECK;
