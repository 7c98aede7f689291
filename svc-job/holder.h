// SPDX-License-Identifier: Apache-2.0
// Who holds a job's lock. The lock's token names the process that made it, so that whoever finds
// the lock of a process that is no more need not wait until it expires. To BullMQ a token is any
// text. Any thread.
#pragma once

#include <stdbool.h>

enum { HOLDER_TOKEN_SIZE = 160 };

// Makes a token of this process, no two alike. It names no process where that cannot be told.
void holder_token(char ret_token[HOLDER_TOKEN_SIZE]);

// Whether the process that made a token is certainly gone: it was of the same boot and namespaces
// as this one, and its number belongs to nobody or to a process that started at another time.
// False for whatever cannot be told: other hosts, other containers, other programs' tokens.
bool holder_is_gone(const char *token);
