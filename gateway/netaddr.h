// SPDX-License-Identifier: Apache-2.0
// Client addresses: CIDR lists, and who the client is behind trusted proxies. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/core/base.h"

struct sockaddr;

enum { NETADDR_TEXT_SIZE = 46, NETADDR_MAX_RANGES = 32 };

// IPv6, or IPv4 as ::ffff:a.b.c.d.
struct netaddr {
    unsigned char bytes[16];
};

struct netaddr_range {
    struct netaddr base;
    unsigned prefix_bits; // of 128
};

struct netaddr_list {
    struct netaddr_range ranges[NETADDR_MAX_RANGES];
    unsigned n;
};

// The address of a socket address; all zero for another family than IPv4 and IPv6.
struct netaddr netaddr_from_sockaddr(const struct sockaddr *sa);

// Reads an address; brackets and a port around it are accepted. False for anything else.
bool netaddr_parse(const char *text, size_t len, struct netaddr *ret_addr);

// Writes the address; an IPv4 one in its own form.
void netaddr_format(const struct netaddr *addr, char ret_text[NETADDR_TEXT_SIZE]);

// Writes what a client is counted by: the IPv4 address, or the /64 of an IPv6 address, since one
// customer has that many.
void netaddr_bucket(const struct netaddr *addr, char ret_text[NETADDR_TEXT_SIZE]);

// Reads "10.0.0.0/8,::1"; an empty text is an empty list. False for a malformed one.
bool netaddr_list_parse(const char *text, struct netaddr_list *ret_list) REEL_MUST_CHECK;

// Whether one of the ranges holds the address.
bool netaddr_list_holds(const struct netaddr_list *list, const struct netaddr *addr);

// The client behind `peer`: read from an X-Forwarded-For value (may be NULL), right to left, as far
// as the hops are trusted.
struct netaddr netaddr_client(const struct netaddr *peer, const char *forwarded_for,
                              const struct netaddr_list *trusted);
