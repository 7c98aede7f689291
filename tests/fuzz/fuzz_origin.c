// SPDX-License-Identifier: Apache-2.0
// Origin, Host and the allow-list, one line each: a listed origin stands in the list letter for
// letter, and "null" is nobody's own.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];
    char *rest = text;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';

    const char *origin = strsep(&rest, "\n");
    const char *host = rest ? strsep(&rest, "\n") : "a.example";
    const char *site = rest ? strsep(&rest, "\n") : NULL;
    const char *allowed = rest ? rest : "https://a.example,http://b.example:81";
    if (origin_is_listed(allowed, origin) && !strstr(allowed, origin))
        abort();
    if (origin_is_host("null", host))
        abort();
    const struct origin_facts facts = {site, origin, host, allowed};
    origin_may_write(&facts);
    // A page of another site may write only when it is listed.
    const struct origin_facts foreign = {"cross-site", "https://evil.example", "a.example",
                                         "https://a.example"};
    if (origin_may_write(&foreign))
        abort();
    return 0;
}
