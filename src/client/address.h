/* Where a server is: tcp://[user][:password@]host[:port], tcp+tls:// for TLS. Pure. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include <stdbool.h>

#define ADDRESS_PORT "7419"

typedef struct ServerAddress {
    bool tls;
    char host[256]; /* name or address, without the brackets of IPv6 */
    char port[6];
    char password[256]; /* percent-decoded; "" when the URL has none */
} ServerAddress;

/* The port defaults to 7419. ERR_INVALID says what is wrong, never quoting the password. */
Err server_address_parse(Str url, ServerAddress *ret, Error *error) must_check;
