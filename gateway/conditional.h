// SPDX-License-Identifier: Apache-2.0
// Conditional requests and ranges (RFC 9110, sections 13 and 14) as pure functions.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_DATE_SIZE = 30 };

// Writes `seconds` since 1970 as an IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT").
void http_date_format(int64_t seconds, char ret_text[HTTP_DATE_SIZE]);

// Reads an IMF-fixdate; false for anything else (the obsolete forms are treated as no date).
bool http_date_parse(const char *text, int64_t *ret_seconds);

enum etag_comparison {
    ETAG_WEAK,   // W/"a" is "a"
    ETAG_STRONG, // W/"a" is nothing
};

// Whether the list of an If-Match or If-None-Match header holds `etag`, a strong one given without
// quotes; `*` matches.
bool etag_list_matches(const char *list, const char *etag, enum etag_comparison comparison);

// The values of a GET's or HEAD's header fields; NULL: not sent.
struct conditions {
    const char *if_match;
    const char *if_unmodified_since;
    const char *if_none_match;
    const char *if_modified_since;
};

enum condition_result {
    CONDITION_GO_ON,
    CONDITION_NOT_MODIFIED, // 304
    CONDITION_FAILED,       // 412
};

// Judges the conditions in the order of RFC 9110, 13.2.2, for a representation that is there: a tag
// is asked for before a date, and a date that is none is ignored. If-Range comes after it.
enum condition_result conditions_check(const struct conditions *conditions, const char *etag,
                                       int64_t modified_seconds);

// Whether an If-Range header (one strong tag, or a date) still speaks of this representation.
bool if_range_holds(const char *if_range, const char *etag, int64_t modified_seconds);

enum range_kind { RANGE_WHOLE, RANGE_PART, RANGE_UNSATISFIABLE };

struct byte_range {
    int64_t first;
    int64_t length;
};

// Resolves a Range header against a size. A malformed header, another unit than bytes and a list of
// several ranges mean the whole, as RFC 9110 allows. `header` may be NULL.
enum range_kind range_resolve(const char *header, int64_t size, struct byte_range *ret_range);
