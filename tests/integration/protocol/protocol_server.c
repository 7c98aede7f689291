// SPDX-License-Identifier: Apache-2.0
// The echo server of the RPC tests as a program: prints where it listens, serves until its standard
// input ends, and publishes an event every 10 ms meanwhile.
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/rpc/bus.h"
#include "tests/integration/rpc/fixture.h"

static void publish(struct reel_publisher *publisher)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    const uint8_t payload[] = {1, 0, 2};

    while (poll(&input, 1, 10) == 0)
        (void)reel_publisher_send(publisher, "demo.tick", payload, sizeof(payload));
}

int main(void)
{
    struct reel_publisher *publisher;
    struct fixture fixture;

    fixture_start(&fixture, NULL, NULL);
    if (reel_publisher_open("tcp://127.0.0.1:0", &publisher) != 0)
        return 1;
    printf("%s %s\n", fixture.url, reel_publisher_url(publisher));
    fflush(stdout);
    publish(publisher);
    reel_publisher_close(publisher);
    fixture_stop(&fixture);
    return 0;
}
