// SPDX-License-Identifier: Apache-2.0
// A streaming multipart/form-data parser (RFC 7578) in constant memory.
//
// The caller feeds bytes as they come and takes events one at a time. Bounded: boundary 70 bytes,
// 8 KiB of headers a part, 32 parts. Strict: lines end in CRLF, part headers need a form-data
// disposition. Pure; no allocation.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    MULTIPART_MAX_BOUNDARY = 70,
    MULTIPART_MAX_HEADER_BYTES = 8192,
    MULTIPART_MAX_PARTS = 32,
    MULTIPART_MAX_NAME = 256,
};

enum multipart_event {
    MULTIPART_NEED_MORE, // all input was used
    MULTIPART_PART,      // a part begins: `name`, `filename`, `has_filename` are set
    MULTIPART_DATA,      // `data`, `data_len`: bytes of the part, borrowed until the next call
    MULTIPART_PART_END,
    MULTIPART_END, // the closing boundary was seen; what follows is ignored
    MULTIPART_ERROR,
};

// Embed it; the first block of fields is for reading after an event, the rest is private.
struct multipart {
    const char *data;
    size_t data_len;
    char name[MULTIPART_MAX_NAME];
    char filename[MULTIPART_MAX_NAME]; // last path component, as sent
    bool has_filename;
    const char *error; // for people; static

    int state;
    unsigned n_parts;
    char delimiter[MULTIPART_MAX_BOUNDARY + 5]; // CRLF -- boundary
    size_t delimiter_len;
    size_t matched; // bytes of the delimiter seen so far
    size_t virtual; // of these, bytes that were not in the input
    bool part_open;
    char line[MULTIPART_MAX_HEADER_BYTES];
    size_t line_len;
    size_t header_bytes;
};

// Starts a parser from the value of a Content-Type header. False when that is not
// multipart/form-data with a valid boundary.
bool multipart_init(struct multipart *parser, const char *content_type);

// Advances through `len` bytes until the next event; *ret_used says how many were used. Call again
// with the rest until MULTIPART_NEED_MORE. Running out of input before MULTIPART_END means the body
// was cut short: the caller's to notice.
enum multipart_event multipart_next(struct multipart *parser, const char *input, size_t len,
                                    size_t *ret_used);
