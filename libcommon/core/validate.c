// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/validate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/core/err.h"
#include "libcommon/core/id.h"
#include "libcommon/core/pb.h"
#include "libcommon/core/timestamp.h"
#include "libcommon/core/utf8.h"

enum { MAX_DEPTH = 16, PATH_SIZE = 256, TEXT_SIZE = 256, MAX_SHOWN_VALUE = 64 };

struct walk {
    const struct reel_message_rules *rules;
    unsigned n_rules;
    reel_violation_fn report;
    void *arg;
    unsigned n_violations;
};

static const struct reel_field_rule no_rule;

REEL_PRINTF(3, 4)
static void violation(struct walk *w, const struct reel_pb_place *place, const char *fmt, ...)
{
    char path[PATH_SIZE];
    char text[TEXT_SIZE];
    va_list args;

    w->n_violations++;
    if (!w->report || w->n_violations > REEL_VALIDATE_MAX_VIOLATIONS)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    reel_pb_path(place, path, sizeof(path));
    w->report(w->arg, path, text);
}

static bool is_full(const struct walk *w)
{
    return w->n_violations >= REEL_VALIDATE_MAX_VIOLATIONS;
}

static bool is_in_list(const char *list, const char *s)
{
    size_t len = strlen(s);

    for (const char *at = list;;) {
        size_t n = strcspn(at, ",");

        if (n == len && memcmp(at, s, len) == 0)
            return true;
        if (at[n] == '\0')
            return false;
        at += n + 1;
    }
}

static bool is_in_set(const char *set, unsigned char c)
{
    for (const char *at = set; *at; at++) {
        unsigned char low = (unsigned char)at[0];

        if (at[1] == '-' && at[2] != '\0') {
            if (c >= low && c <= (unsigned char)at[2])
                return true;
            at += 2;
        } else if (c == low) {
            return true;
        }
    }
    return false;
}

static bool has_only(const char *set, const char *s)
{
    while (*s && is_in_set(set, (unsigned char)*s))
        s++;
    return *s == '\0';
}

static bool is_dns_name(const char *s)
{
    size_t label = 0;
    bool has_dot = false;

    for (; *s; s++) {
        if (*s == '.') {
            if (label == 0 || s[-1] == '-')
                return false;
            label = 0;
            has_dot = true;
            continue;
        }
        if (!is_in_set("A-Za-z0-9-", (unsigned char)*s) || (label == 0 && *s == '-') ||
            ++label > 63)
            return false;
    }
    return has_dot && label > 0 && s[-1] != '-';
}

// A mailbox as web forms take it: dot-atom or UTF-8 before the '@', a host name with a dot after.
static bool is_email(const char *s)
{
    const char *at = strrchr(s, '@');

    if (!at || at == s || at - s > 64 || s[0] == '.' || at[-1] == '.')
        return false;
    for (const char *c = s; c < at; c++) {
        bool dots = c[0] == '.' && c[1] == '.';

        if (dots || (unsigned char)*c <= ' ' || *c == 0x7f || strchr("()<>[]:;@\\,\"", *c))
            return false;
    }
    return is_dns_name(at + 1);
}

static void check_length(struct walk *w, const struct reel_pb_place *place,
                         const struct reel_field_rule *rule, size_t len)
{
    size_t max = rule->max_length ? rule->max_length : REEL_FIELD_DEFAULT_MAX_LENGTH;

    if (len > max)
        violation(w, place, "must be at most %zu bytes long; it has %zu", max, len);
    else if (len < rule->min_length)
        violation(w, place, "must be at least %" PRIu32 " bytes long; it has %zu", rule->min_length,
                  len);
}

static void check_one_of(struct walk *w, const struct reel_pb_place *place,
                         const struct reel_field_rule *rule, const char *s)
{
    const char *list = *rule->one_of == ',' ? rule->one_of + 1 : rule->one_of;

    if (is_in_list(rule->one_of, s))
        return;
    if (rule->secret || *s == '\0' || strlen(s) > MAX_SHOWN_VALUE)
        violation(w, place, "must be one of %s", list);
    else
        violation(w, place, "must be one of %s; \"%s\" is not", list, s);
}

static void check_form(struct walk *w, const struct reel_pb_place *place,
                       const struct reel_field_rule *rule, const char *s)
{
    if (rule->uuid && !reel_id_is_valid(s))
        violation(w, place,
                  "must be a UUID in lower case, such as 01890a5d-ac96-774b-bcce-b302099a8057");
    if (rule->email && !is_email(s))
        violation(w, place, "must be an e-mail address, such as ada@example.org");
    if (rule->pattern && !has_only(rule->pattern, s))
        violation(w, place, "may have only the characters %s", rule->pattern);
}

static void check_string(struct walk *w, const struct reel_pb_place *place,
                         const struct reel_field_rule *rule, const char *s, bool strict)
{
    size_t len = strlen(s);

    if (len == 0 && rule->required) {
        violation(w, place, "is required");
        return;
    }
    if (!reel_utf8_is_valid(s, len)) {
        violation(w, place, "must be valid UTF-8");
        return;
    }
    if (rule->one_of)
        check_one_of(w, place, rule, s);
    if (len == 0 && !strict)
        return;
    check_length(w, place, rule, len);
    if (len <= REEL_FIELD_DEFAULT_MAX_LENGTH)
        check_form(w, place, rule, s);
}

static void check_bytes(struct walk *w, const struct reel_pb_place *place,
                        const struct reel_field_rule *rule, const ProtobufCBinaryData *bytes,
                        bool strict)
{
    if (bytes->len == 0 && rule->required)
        violation(w, place, "is required");
    else if (bytes->len > 0 || strict)
        check_length(w, place, rule, bytes->len);
}

static void check_enum(struct walk *w, const struct reel_pb_place *place,
                       const ProtobufCEnumDescriptor *descriptor, int32_t value)
{
    if (!protobuf_c_enum_descriptor_get_value(descriptor, value))
        violation(w, place, "must be a known value; %" PRId32 " is not", value);
}

static void check_range(struct walk *w, const struct reel_pb_place *place,
                        const struct reel_field_rule *rule, bool inside, const char *shown)
{
    if ((rule->min == 0 && rule->max == 0) || inside)
        return;
    if (rule->secret)
        violation(w, place, "must be from %" PRId64 " to %" PRId64, rule->min, rule->max);
    else
        violation(w, place, "must be from %" PRId64 " to %" PRId64 "; it is %s", rule->min,
                  rule->max, shown);
}

static void check_integer(struct walk *w, const struct reel_pb_place *place,
                          const struct reel_field_rule *rule, ProtobufCType type, const void *value)
{
    int64_t n = reel_pb_get_int(type, value);
    bool is_unsigned = type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64;
    bool is_huge = is_unsigned && n < 0; // past INT64_MAX
    char shown[32];

    if (n == 0 && rule->required) {
        violation(w, place, "is required");
        return;
    }
    if (is_unsigned)
        snprintf(shown, sizeof(shown), "%" PRIu64, (uint64_t)n);
    else
        snprintf(shown, sizeof(shown), "%" PRId64, n);
    check_range(w, place, rule, !is_huge && n >= rule->min && n <= rule->max, shown);
}

static void check_real(struct walk *w, const struct reel_pb_place *place,
                       const struct reel_field_rule *rule, double value)
{
    char shown[32];

    if (value == 0 && rule->required) {
        violation(w, place, "is required");
        return;
    }
    snprintf(shown, sizeof(shown), "%g", value);
    check_range(w, place, rule, value >= (double)rule->min && value <= (double)rule->max, shown);
}

static void check_message(struct walk *w, const struct reel_pb_place *place,
                          const ProtobufCMessage *message);

static void check_value(struct walk *w, const struct reel_pb_place *place,
                        const struct reel_field_rule *rule, const ProtobufCFieldDescriptor *field,
                        const void *value, bool strict);

static void check_sub_message(struct walk *w, const struct reel_pb_place *place,
                              const struct reel_field_rule *rule, const ProtobufCMessage *sub)
{
    struct reel_field_rule wrapped = *rule;
    const ProtobufCFieldDescriptor *field;

    switch (reel_pb_kind_of(sub->descriptor)) {
    case REEL_PB_TIMESTAMP:
        if (!reel_timestamp_is_valid(reel_pb_timestamp_seconds(sub), reel_pb_timestamp_nanos(sub)))
            violation(w, place, "must be a time from year 1 to 9999");
        break;
    case REEL_PB_WRAPPER:
        // A wrapper that is there satisfies `required`, whatever it holds.
        wrapped.required = false;
        field = &sub->descriptor->fields[0];
        check_value(w, place, &wrapped, field, reel_pb_value(sub, field), true);
        break;
    case REEL_PB_PLAIN:
        if (place->depth >= MAX_DEPTH)
            violation(w, place, "is nested deeper than %d messages", MAX_DEPTH);
        else
            check_message(w, place, sub);
        break;
    }
}

static void check_value(struct walk *w, const struct reel_pb_place *place,
                        const struct reel_field_rule *rule, const ProtobufCFieldDescriptor *field,
                        const void *value, bool strict)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        check_string(w, place, rule, *(const char *const *)value, strict);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        check_bytes(w, place, rule, value, strict);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        check_enum(w, place, field->descriptor, *(const int32_t *)value);
        check_integer(w, place, rule, field->type, value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        check_sub_message(w, place, rule, *(const ProtobufCMessage *const *)value);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        check_real(w, place, rule, (double)*(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        check_real(w, place, rule, *(const double *)value);
        break;
    default:
        check_integer(w, place, rule, field->type, value);
        break;
    }
}

static void check_items(struct walk *w, struct reel_pb_place *place,
                        const struct reel_field_rule *rule, const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field)
{
    struct reel_field_rule item_rule = *rule;
    size_t n = reel_pb_count(message, field);
    size_t max = rule->max_items ? rule->max_items : REEL_FIELD_DEFAULT_MAX_ITEMS;
    const char *items = *(const char *const *)reel_pb_value(message, field);

    if (n == 0 && rule->required)
        violation(w, place, "is required");
    if (n > max) {
        violation(w, place, "must have at most %zu items; it has %zu", max, n);
        return;
    }
    item_rule.required = false;
    for (size_t i = 0; i < n && !is_full(w); i++) {
        place->index = (int64_t)i;
        check_value(w, place, &item_rule, field, items + i * reel_pb_element_size(field->type),
                    true);
    }
}

static const struct reel_field_rule *rules_of(const struct walk *w,
                                              const ProtobufCMessageDescriptor *descriptor)
{
    for (unsigned i = 0; i < w->n_rules; i++) {
        if (w->rules[i].message == descriptor)
            return w->rules[i].rules;
    }
    return &no_rule;
}

static const struct reel_field_rule *rule_of(const struct reel_field_rule *rules, const char *field)
{
    while (rules->field && strcmp(rules->field, field) != 0)
        rules++;
    return rules->field ? rules : &no_rule;
}

static void check_message(struct walk *w, const struct reel_pb_place *place,
                          const ProtobufCMessage *message)
{
    const struct reel_field_rule *rules = rules_of(w, message->descriptor);
    unsigned depth = place ? place->depth + 1 : 1;

    for (unsigned i = 0; i < message->descriptor->n_fields && !is_full(w); i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const struct reel_field_rule *rule = rule_of(rules, field->name);
        struct reel_pb_place here = {
            .up = place, .field = field->name, .index = REEL_PB_NO_INDEX, .depth = depth};

        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            check_items(w, &here, rule, message, field);
        else if (reel_pb_is_present(message, field))
            check_value(w, &here, rule, field, reel_pb_value(message, field), false);
        else if (rule->required)
            violation(w, &here, "is required");
    }
}

int reel_validate(const struct reel_message_rules *rules, unsigned n_rules,
                  const ProtobufCMessage *message, reel_violation_fn report, void *arg)
{
    struct walk w = {.rules = rules, .n_rules = n_rules, .report = report, .arg = arg};

    check_message(&w, NULL, message);
    return w.n_violations ? REEL_INVALID_ARGUMENT : REEL_OK;
}
