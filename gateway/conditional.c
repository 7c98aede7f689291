// SPDX-License-Identifier: Apache-2.0
#include "gateway/conditional.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void http_date_format(int64_t seconds, char ret_text[HTTP_DATE_SIZE])
{
    time_t t = (time_t)seconds;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    snprintf(ret_text, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12],
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

bool http_date_parse(const char *text, int64_t *ret_seconds)
{
    struct tm tm = {0};
    char month[4];
    int end = 0;
    if (strlen(text) != HTTP_DATE_SIZE - 1 ||
        sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &tm.tm_mday, month,
               &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        end != HTTP_DATE_SIZE - 1)
        return false;
    tm.tm_year -= 1900;
    for (tm.tm_mon = 0; tm.tm_mon < 12; tm.tm_mon++) {
        if (strcmp(month, months[tm.tm_mon]) == 0) {
            *ret_seconds = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

bool etag_list_matches(const char *list, const char *etag, enum etag_comparison comparison)
{
    size_t etag_len = strlen(etag);
    const char *s = skip_space(list);
    if (*s == '*')
        return true;
    // Elements of a list may be empty.
    for (s += strspn(s, ", \t"); *s; s += strspn(s, ", \t")) {
        bool is_weak = strncmp(s, "W/", 2) == 0;
        if (is_weak)
            s += 2;
        if (*s != '"')
            return false;
        size_t len = strcspn(s + 1, "\"");
        if (s[1 + len] != '"')
            return false;
        if (len == etag_len && memcmp(s + 1, etag, len) == 0 &&
            !(is_weak && comparison == ETAG_STRONG))
            return true;
        s += len + 2;
    }
    return false;
}

enum condition_result conditions_check(const struct conditions *conditions, const char *etag,
                                       int64_t modified_seconds)
{
    int64_t seconds;
    if (conditions->if_match) {
        if (!etag_list_matches(conditions->if_match, etag, ETAG_STRONG))
            return CONDITION_FAILED;
    } else if (conditions->if_unmodified_since &&
               http_date_parse(conditions->if_unmodified_since, &seconds) &&
               modified_seconds > seconds) {
        return CONDITION_FAILED;
    }
    if (conditions->if_none_match)
        return etag_list_matches(conditions->if_none_match, etag, ETAG_WEAK)
                   ? CONDITION_NOT_MODIFIED
                   : CONDITION_GO_ON;
    if (conditions->if_modified_since && http_date_parse(conditions->if_modified_since, &seconds) &&
        modified_seconds <= seconds)
        return CONDITION_NOT_MODIFIED;
    return CONDITION_GO_ON;
}

bool if_range_holds(const char *if_range, const char *etag, int64_t modified_seconds)
{
    int64_t seconds;
    const char *s = skip_space(if_range);
    if (*s == '"') {
        size_t len = strlen(etag);
        return strncmp(s + 1, etag, len) == 0 && s[1 + len] == '"' && s[2 + len] == '\0';
    }
    return http_date_parse(s, &seconds) && seconds == modified_seconds;
}

// Reads decimal digits, saturating; *ret is -1 when there are none.
static const char *read_number(const char *s, int64_t *ret)
{
    *ret = isdigit((unsigned char)*s) ? 0 : -1;
    for (; isdigit((unsigned char)*s); s++)
        *ret = *ret > (INT64_MAX - 9) / 10 ? INT64_MAX : *ret * 10 + (*s - '0');
    return s;
}

static enum range_kind resolve_suffix(int64_t suffix, int64_t size, struct byte_range *ret_range)
{
    if (suffix == 0 || size == 0)
        return RANGE_UNSATISFIABLE;
    ret_range->length = suffix < size ? suffix : size;
    ret_range->first = size - ret_range->length;
    return RANGE_PART;
}

enum range_kind range_resolve(const char *header, int64_t size, struct byte_range *ret_range)
{
    int64_t first, last;
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    const char *s = read_number(skip_space(header + 6), &first);
    if (*s != '-')
        return RANGE_WHOLE;
    s = skip_space(read_number(s + 1, &last));
    if (*s != '\0' || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
        return RANGE_WHOLE;
    if (first < 0)
        return resolve_suffix(last, size, ret_range);
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (last < 0 || last >= size)
        last = size - 1;
    *ret_range = (struct byte_range){first, last - first + 1};
    return RANGE_PART;
}
