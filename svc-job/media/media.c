// SPDX-License-Identifier: Apache-2.0
#include "svc-job/media/media.h"

#include "libcommon/core/base.h"

static const char *const code_names[MEDIA_N_CODES] = {
    [MEDIA_OK] = "OK",
    [MEDIA_INVALID_INPUT] = "INVALID_INPUT",
    [MEDIA_UNSUPPORTED] = "UNSUPPORTED",
    [MEDIA_NO_VIDEO] = "NO_VIDEO",
    [MEDIA_NO_AUDIO] = "NO_AUDIO",
    [MEDIA_RESOURCE_LIMIT] = "RESOURCE_LIMIT",
    [MEDIA_TIMEOUT] = "TIMEOUT",
    [MEDIA_CANCELLED] = "CANCELLED",
    [MEDIA_CRASHED] = "CRASHED",
    [MEDIA_INTERNAL] = "INTERNAL",
};

const char *media_code_name(enum media_code code)
{
    unsigned i = (unsigned)code;

    return code_names[i < MEDIA_N_CODES ? i : MEDIA_INTERNAL];
}

bool media_code_is_retryable(enum media_code code)
{
    return code == MEDIA_CRASHED || code == MEDIA_TIMEOUT || code == MEDIA_INTERNAL;
}
