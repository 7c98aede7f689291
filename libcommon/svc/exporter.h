// SPDX-License-Identifier: Apache-2.0
// Serves the metrics of the process to Prometheus: GET /metrics on 127.0.0.1, nothing else.
//
// One thread of its own and a fixed number of connections, each with little time: whatever a client
// does, it costs the service no more than that. HTTP/1.1 with one answer a connection.
#pragma once

#include <stdint.h>

#include "libcommon/core/base.h"

struct reel_exporter;

// Listens on the loopback address and starts to serve. A port of 0 takes a free one. -EADDRINUSE
// and other faults of the socket's; then nothing needs to be closed.
int reel_exporter_open(uint16_t port, struct reel_exporter **ret_exporter) REEL_MUST_CHECK;

// The port in use. Any thread.
uint16_t reel_exporter_port(const struct reel_exporter *exporter);

// Stops serving, cuts off who is being answered, and frees. NULL is fine.
void reel_exporter_close(struct reel_exporter *exporter);
