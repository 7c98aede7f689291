// SPDX-License-Identifier: Apache-2.0
// For test servers and fixtures: what cannot fail, or the test makes no sense.
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

// Aborts with errno's text unless `ok`.
static inline void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}
