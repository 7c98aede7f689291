// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/settings.h"

#include <errno.h>
#include <string.h>

#include "libcommon/core/err.h"

int reel_settings_urls_init(struct reel_settings_urls *urls, const char *listen)
{
    char *rest;

    *urls = (struct reel_settings_urls){.text = strdup(listen)};
    rest = urls->text;
    if (!rest)
        return -ENOMEM;
    for (char *url; urls->n < REEL_SETTINGS_URLS_MAX && (url = strsep(&rest, ","));) {
        if (url[0] != '\0')
            urls->urls[urls->n++] = url;
    }
    if (urls->n > 0)
        return REEL_OK;
    reel_settings_urls_fini(urls);
    return REEL_INVALID_ARGUMENT;
}

void reel_settings_urls_fini(struct reel_settings_urls *urls)
{
    free(urls->text);
    *urls = (struct reel_settings_urls){0};
}
