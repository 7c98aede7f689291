// SPDX-License-Identifier: Apache-2.0
// RFC 3339 times between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z, as protobuf's
// Timestamp counts them: seconds since 1970 and nanoseconds of the second.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REEL_TIMESTAMP_MIN_SECONDS INT64_C(-62135596800)
#define REEL_TIMESTAMP_MAX_SECONDS INT64_C(253402300799)
#define REEL_TIMESTAMP_SIZE        32 // room for the longest form with its NUL

// Whether seconds and nanoseconds are a time that RFC 3339 can say. Any thread, as all of this
// file.
bool reel_timestamp_is_valid(int64_t seconds, int32_t nanos);

// Writes "2026-01-31T12:00:00Z" with as many digits of fraction as needed of 0, 3, 6 and 9. False
// (and an empty string) when the time is not valid.
bool reel_timestamp_format(int64_t seconds, int32_t nanos, char ret_text[REEL_TIMESTAMP_SIZE]);

// Reads RFC 3339 with "Z" or a numeric offset and up to nine digits of fraction. False for anything
// else, a day that is not in its month and a leap second included; the outputs are then untouched.
bool reel_timestamp_parse(const char *text, size_t len, int64_t *ret_seconds, int32_t *ret_nanos);
