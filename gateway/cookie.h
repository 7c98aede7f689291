// SPDX-License-Identifier: Apache-2.0
// The Cookie header field. Pure.
#pragma once

#include <stddef.h>

// The value of the first cookie of that name in `header`, a Cookie field's value, borrowed from it
// and *ret_len bytes long; NULL when there is none. Names are compared letter for letter.
const char *cookie_find(const char *header, const char *name, size_t *ret_len);
