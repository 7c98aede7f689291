// SPDX-License-Identifier: Apache-2.0
// The methods of job.JobService (proto/job.proto).
#pragma once

#include "proto/job.reel.h"

// The vtable for reel_server_add; its state is a struct job_svc.
extern const struct job_service_impl job_handlers;
