// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/timestamp.h"

#include <string.h>

enum { SECONDS_A_DAY = 86400, DAYS_FROM_YEAR_1_TO_1970 = 719162 };

struct civil {
    int year;
    int month;
    int day;
};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

// Days from 0001-01-01 to the first of January of `year`.
static int64_t days_before_year(int year)
{
    int64_t y = year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400;
}

static int64_t days_since_1970(struct civil date)
{
    int64_t days = days_before_year(date.year) - DAYS_FROM_YEAR_1_TO_1970;

    for (int month = 1; month < date.month; month++)
        days += days_in_month(date.year, month);
    return days + date.day - 1;
}

static struct civil civil_of(int64_t days)
{
    int64_t since_year_1 = days + DAYS_FROM_YEAR_1_TO_1970;
    struct civil date = {.year = (int)(since_year_1 * 400 / 146097) + 1, .month = 1};

    // The mean length of a year gives the year or a neighbour of it.
    while (days_before_year(date.year) > since_year_1)
        date.year--;
    while (days_before_year(date.year + 1) <= since_year_1)
        date.year++;

    int rest = (int)(since_year_1 - days_before_year(date.year));
    while (rest >= days_in_month(date.year, date.month))
        rest -= days_in_month(date.year, date.month++);
    date.day = rest + 1;
    return date;
}

bool reel_timestamp_is_valid(int64_t seconds, int32_t nanos)
{
    return seconds >= REEL_TIMESTAMP_MIN_SECONDS && seconds <= REEL_TIMESTAMP_MAX_SECONDS &&
           nanos >= 0 && nanos <= 999999999;
}

static char *put_digits(char *at, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + digits;
}

static char *put_fraction(char *at, int32_t nanos)
{
    if (nanos == 0)
        return at;
    *at++ = '.';
    if (nanos % 1000000 == 0)
        return put_digits(at, nanos / 1000000, 3);
    if (nanos % 1000 == 0)
        return put_digits(at, nanos / 1000, 6);
    return put_digits(at, nanos, 9);
}

// By hand: an answer with a page of rows has two times in each, and printf would be most of it.
bool reel_timestamp_format(int64_t seconds, int32_t nanos, char ret_text[REEL_TIMESTAMP_SIZE])
{
    ret_text[0] = '\0';
    if (!reel_timestamp_is_valid(seconds, nanos))
        return false;

    int64_t days = seconds / SECONDS_A_DAY - (seconds % SECONDS_A_DAY < 0);
    int second = (int)(seconds - days * SECONDS_A_DAY);
    struct civil date = civil_of(days);
    char *at = put_digits(ret_text, date.year, 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    at = put_fraction(at, nanos);
    *at++ = 'Z';
    *at = '\0';
    return true;
}

// A position in the text; every reader below fails at its end.
struct reader {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_number(struct reader *r, int digits, int lowest, int highest, int *ret_value)
{
    int value = 0;

    if (r->end - r->at < digits)
        return false;
    for (int i = 0; i < digits; i++, r->at++) {
        if (!is_digit(*r->at))
            return false;
        value = value * 10 + (*r->at - '0');
    }
    if (value < lowest || value > highest)
        return false;
    *ret_value = value;
    return true;
}

static bool read_char(struct reader *r, const char *allowed)
{
    if (r->at == r->end || *r->at == '\0' || !strchr(allowed, *r->at))
        return false;
    r->at++;
    return true;
}

static bool read_date(struct reader *r, struct civil *date)
{
    return read_number(r, 4, 1, 9999, &date->year) && read_char(r, "-") &&
           read_number(r, 2, 1, 12, &date->month) && read_char(r, "-") &&
           read_number(r, 2, 1, days_in_month(date->year, date->month), &date->day);
}

static bool read_time(struct reader *r, int *second_of_day)
{
    int hour, minute, second;

    if (!read_number(r, 2, 0, 23, &hour) || !read_char(r, ":") ||
        !read_number(r, 2, 0, 59, &minute) || !read_char(r, ":") ||
        !read_number(r, 2, 0, 59, &second))
        return false;
    *second_of_day = hour * 3600 + minute * 60 + second;
    return true;
}

static bool read_fraction(struct reader *r, int32_t *nanos)
{
    int32_t scale = 100000000;

    *nanos = 0;
    if (!read_char(r, "."))
        return true;
    if (r->at == r->end || !is_digit(*r->at))
        return false;
    for (; r->at < r->end && is_digit(*r->at); r->at++, scale /= 10) {
        if (scale == 0)
            return false;
        *nanos += (*r->at - '0') * scale;
    }
    return true;
}

static bool read_offset(struct reader *r, int *seconds)
{
    int hours, minutes;
    bool west = r->at < r->end && *r->at == '-';

    *seconds = 0;
    if (read_char(r, "Zz"))
        return true;
    if (!read_char(r, "+-") || !read_number(r, 2, 0, 23, &hours) || !read_char(r, ":") ||
        !read_number(r, 2, 0, 59, &minutes))
        return false;
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

bool reel_timestamp_parse(const char *text, size_t len, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct reader r = {.at = text, .end = text + len};
    struct civil date;
    int second_of_day, offset;
    int32_t nanos;

    if (!read_date(&r, &date) || !read_char(&r, "Tt") || !read_time(&r, &second_of_day) ||
        !read_fraction(&r, &nanos) || !read_offset(&r, &offset) || r.at != r.end)
        return false;

    int64_t seconds = days_since_1970(date) * SECONDS_A_DAY + second_of_day - offset;
    if (!reel_timestamp_is_valid(seconds, nanos))
        return false;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return true;
}
