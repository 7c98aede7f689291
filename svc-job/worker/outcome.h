// SPDX-License-Identifier: Apache-2.0
// What became of a worker: from the way its process ended, and from what it left on its page,
// which may be anything once a codec has been taken over.
#pragma once

#include "svc-job/worker/wire.h"

struct outcome_facts {
    const struct wire_event *event; // NULL: the zygote died
    const struct wire_page *page;
    const struct worker_limits *limits;
    enum media_code killed_for; // by us; MEDIA_OK: not
};

// Fills *ret_outcome: codes within their range, texts terminated and printable ASCII, numbers not
// negative and finite.
void outcome_settle(const struct outcome_facts *facts, struct media_outcome *ret_outcome);
