// SPDX-License-Identifier: Apache-2.0
#include "libcommon/obs/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SERIES = 2000, N_HASH = 1024 };

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const int64_t bounds_us[] = {
    50,     100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

struct reel_counter {
    atomic_uint_fast64_t value;
};

struct reel_gauge {
    atomic_int_fast64_t value;
};

// Buckets are not cumulative here: an observation touches one of them. The last takes the rest.
struct reel_histogram {
    atomic_uint_fast64_t buckets[REEL_ARRAY_SIZE(bounds_us) + 1];
    atomic_int_fast64_t sum_us;
};

struct series {
    struct series *next_in_family;
    struct series *next_in_hash;
    const struct family *family;
    char *labels; // "" when there are none
    union {
        struct reel_counter counter;
        struct reel_gauge gauge;
        struct reel_histogram histogram;
    } v;
};

struct family {
    struct family *next;
    enum kind kind;
    char *name;
    char *help;
    struct series *first;
    struct series **last;
};

static struct {
    pthread_mutex_t lock; // guards all below but the series' values
    struct family *first;
    struct family **last;
    struct series *hash[N_HASH];
    unsigned n_series;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &registry.first};

// Where updates go that have no place in the registry.
static struct series overflow[] = {
    [COUNTER] = {.labels = (char[]){""}},
    [GAUGE] = {.labels = (char[]){""}},
    [HISTOGRAM] = {.labels = (char[]){""}},
};

static unsigned hash_of(const char *name, const char *labels)
{
    uint32_t h = 2166136261u;

    for (const char *s = name; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    for (const char *s = labels; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h % N_HASH;
}

static struct family *family_find(const char *name)
{
    struct family *f = registry.first;

    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f;
}

static struct family *family_add(const char *name, const char *help, enum kind kind)
{
    struct family *f = calloc(1, sizeof(*f));
    char *name_copy = strdup(name);
    char *help_copy = strdup(help ? help : "");

    if (!f || !name_copy || !help_copy) {
        free(f);
        free(name_copy);
        free(help_copy);
        return NULL;
    }
    *f = (struct family){.kind = kind, .name = name_copy, .help = help_copy};
    f->last = &f->first;
    *registry.last = f;
    registry.last = &f->next;
    return f;
}

static struct series *series_add(struct family *family, const char *labels, unsigned slot)
{
    struct series *s = calloc(1, sizeof(*s));
    char *labels_copy = strdup(labels);

    if (!s || !labels_copy) {
        free(s);
        free(labels_copy);
        return NULL;
    }
    s->family = family;
    s->labels = labels_copy;
    s->next_in_hash = registry.hash[slot];
    registry.hash[slot] = s;
    *family->last = s;
    family->last = &s->next_in_family;
    registry.n_series++;
    return s;
}

static struct series *series_find(const char *name, const char *labels, unsigned slot)
{
    struct series *s = registry.hash[slot];

    while (s && (strcmp(s->family->name, name) != 0 || strcmp(s->labels, labels) != 0))
        s = s->next_in_hash;
    return s;
}

static struct series *find_or_add(const char *name, const char *help, const char *labels,
                                  enum kind kind)
{
    unsigned slot = hash_of(name, labels);
    struct series *s = series_find(name, labels, slot);

    if (s)
        return s->family->kind == kind ? s : NULL;
    if (registry.n_series >= MAX_SERIES)
        return NULL;

    struct family *f = family_find(name);
    if (!f)
        f = family_add(name, help, kind);
    if (!f || f->kind != kind)
        return NULL;
    return series_add(f, labels, slot);
}

static struct series *get(const char *name, const char *help, const char *labels, enum kind kind)
{
    pthread_mutex_lock(&registry.lock);
    struct series *s = find_or_add(name, help, labels ? labels : "", kind);
    pthread_mutex_unlock(&registry.lock);
    return s ? s : &overflow[kind];
}

struct reel_counter *reel_counter_get(const char *name, const char *help, const char *labels)
{
    return &get(name, help, labels, COUNTER)->v.counter;
}

void reel_counter_add(struct reel_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

uint64_t reel_counter_value(const struct reel_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

struct reel_gauge *reel_gauge_get(const char *name, const char *help, const char *labels)
{
    return &get(name, help, labels, GAUGE)->v.gauge;
}

void reel_gauge_set(struct reel_gauge *gauge, int64_t value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

void reel_gauge_add(struct reel_gauge *gauge, int64_t n)
{
    atomic_fetch_add_explicit(&gauge->value, n, memory_order_relaxed);
}

struct reel_histogram *reel_histogram_get(const char *name, const char *help, const char *labels)
{
    return &get(name, help, labels, HISTOGRAM)->v.histogram;
}

void reel_histogram_observe_us(struct reel_histogram *histogram, int64_t us)
{
    size_t i = 0;

    if (us < 0)
        us = 0;
    while (i < REEL_ARRAY_SIZE(bounds_us) && us > bounds_us[i])
        i++;
    atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

static void add_bucket(struct reel_buf *out, const struct series *s, const char *le, uint64_t n)
{
    reel_buf_addf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", s->family->name, s->labels,
                  *s->labels ? "," : "", le, n);
}

static void add_sample(struct reel_buf *out, const struct series *s, const char *suffix)
{
    const char *open = *s->labels ? "{" : "";
    const char *close = *s->labels ? "}" : "";

    reel_buf_addf(out, "%s%s%s%s%s ", s->family->name, suffix, open, s->labels, close);
}

static void add_histogram(struct reel_buf *out, const struct series *s)
{
    uint64_t n = 0;
    char le[32];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(bounds_us); i++) {
        n += atomic_load_explicit(&s->v.histogram.buckets[i], memory_order_relaxed);
        snprintf(le, sizeof(le), "%g", (double)bounds_us[i] / 1e6);
        add_bucket(out, s, le, n);
    }
    n += atomic_load_explicit(&s->v.histogram.buckets[REEL_ARRAY_SIZE(bounds_us)],
                              memory_order_relaxed);
    add_bucket(out, s, "+Inf", n);
    add_sample(out, s, "_sum");
    reel_buf_addf(out, "%.6f\n",
                  (double)atomic_load_explicit(&s->v.histogram.sum_us, memory_order_relaxed) / 1e6);
    add_sample(out, s, "_count");
    reel_buf_addf(out, "%" PRIu64 "\n", n);
}

static void add_series(struct reel_buf *out, const struct series *s)
{
    switch (s->family->kind) {
    case COUNTER:
        add_sample(out, s, "");
        reel_buf_addf(out, "%" PRIu64 "\n", reel_counter_value(&s->v.counter));
        break;
    case GAUGE:
        add_sample(out, s, "");
        reel_buf_addf(out, "%" PRId64 "\n",
                      (int64_t)atomic_load_explicit(&s->v.gauge.value, memory_order_relaxed));
        break;
    case HISTOGRAM:
        add_histogram(out, s);
        break;
    }
}

static void add_family_head(struct reel_buf *out, const struct family *f)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    reel_buf_addf(out, "# HELP %s ", f->name);
    for (const char *h = f->help; *h; h++) {
        if (*h == '\n')
            reel_buf_adds(out, "\\n");
        else if (*h == '\\')
            reel_buf_adds(out, "\\\\");
        else
            reel_buf_addc(out, *h);
    }
    reel_buf_addf(out, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
}

void reel_metrics_render(struct reel_buf *out)
{
    pthread_mutex_lock(&registry.lock);
    for (const struct family *f = registry.first; f; f = f->next) {
        add_family_head(out, f);
        for (const struct series *s = f->first; s; s = s->next_in_family)
            add_series(out, s);
    }
    pthread_mutex_unlock(&registry.lock);
}
