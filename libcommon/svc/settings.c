// SPDX-License-Identifier: Apache-2.0
#include "libcommon/svc/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"

static int refuse(struct reel_settings_urls *urls, const char *name, const char *listen)
{
    char must_be[64];

    reel_settings_urls_fini(urls);
    snprintf(must_be, sizeof(must_be), "1 to %d URLs, comma-separated", REEL_SETTINGS_URLS_MAX);
    reel_log(REEL_LOG_ERROR, "settings.refused", REEL_FS("setting", name), REEL_FS("value", listen),
             REEL_FS("must_be", must_be));
    return REEL_INVALID_ARGUMENT;
}

int reel_settings_urls_init(struct reel_settings_urls *urls, const char *name, const char *listen)
{
    char *rest;

    *urls = (struct reel_settings_urls){.text = strdup(listen)};
    rest = urls->text;
    if (!rest)
        return -ENOMEM;
    for (char *url; (url = strsep(&rest, ","));) {
        if (url[0] == '\0')
            continue;
        if (urls->n == REEL_SETTINGS_URLS_MAX)
            return refuse(urls, name, listen);
        urls->urls[urls->n++] = url;
    }
    return urls->n > 0 ? REEL_OK : refuse(urls, name, listen);
}

void reel_settings_urls_fini(struct reel_settings_urls *urls)
{
    free(urls->text);
    *urls = (struct reel_settings_urls){0};
}
