// SPDX-License-Identifier: Apache-2.0
// Web origins: the allow-list, and whether a request comes from our own pages. Pure.
#pragma once

#include <stdbool.h>

// Whether a comma-separated list of origins holds `origin`, letter for letter.
bool origin_is_listed(const char *list, const char *origin);

// Whether `origin` ("https://host:port") is this very host, as the Host header names it.
bool origin_is_host(const char *origin, const char *host);

struct origin_facts {
    const char *fetch_site; // Sec-Fetch-Site, or NULL
    const char *origin;     // Origin, or NULL
    const char *host;       // Host, or NULL
    const char *allowed;    // the CORS allow-list
};

// Whether a write that is authorised by a cookie alone may be carried out: the browser says it
// comes from our own origin or an allowed one, or it is no browser (neither header is sent).
bool origin_may_write(const struct origin_facts *facts);
