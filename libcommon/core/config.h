// SPDX-License-Identifier: Apache-2.0
// Configuration as a table: parsing, --help, the start-up dump and docs/config.md come from it.
//
// Every setting is an environment variable and a flag (REEL_GATEWAY_PORT is --gateway-port; the
// flag wins). An unknown REEL_* variable, an unknown flag or a value out of range is an error that
// names the setting, the value and what is allowed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libcommon/core/base.h"

enum reel_config_type {
    REEL_CONFIG_STRING, // field: const char *
    REEL_CONFIG_INT,    // field: int64_t; min and max apply
    REEL_CONFIG_BOOL,   // field: bool; true/false, yes/no, on/off, 1/0
};

struct reel_config_item {
    const char *name; // environment variable, "REEL_..." or a standard name such as DATABASE_URL
    enum reel_config_type type;
    size_t offset;            // of the field in the settings struct
    const char *default_text; // NULL: must be set
    int64_t min;
    int64_t max;
    const char *unit;    // "ms", "bytes", ... or ""
    const char *help;    // one line
    const char *allowed; // of a string: the only words it may be, "one, two, three"; NULL: any text
    bool secret;         // shown as *** in the dump, never logged
};

// Fills `settings` (a struct whose fields the items' offsets name) from defaults, environment and
// argv. Strings are borrowed from the environment, argv or the table: they live as long as the
// process. On a bad setting prints what is wrong to stderr and returns REEL_INVALID_ARGUMENT.
// For --help prints the table to stdout (for --help-markdown as docs/operations.md has it) and
// returns REEL_CANCELLED: the caller exits 0. The first argument that is not a flag ends the flags;
// its index goes to *ret_rest unless ret_rest is NULL.
int reel_config_load(const char *program, const char *purpose, const struct reel_config_item *items,
                     size_t n_items, void *settings, int argc, char **argv,
                     int *ret_rest) REEL_MUST_CHECK;

// Prints "NAME=value" lines of the settings in force, secrets as ***.
void reel_config_dump(FILE *out, const struct reel_config_item *items, size_t n_items,
                      const void *settings);

// Prints the table as Markdown rows: name, flag, type, default, range, help.
void reel_config_markdown(FILE *out, const struct reel_config_item *items, size_t n_items);
