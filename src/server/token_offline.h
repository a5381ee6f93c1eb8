/* Access tokens made without a node, by whoever may read the signing key. Nothing is written. */
#pragma once

#include "auth/token.h"

/* DIR/signing.key is there and can be read. */
bool token_offline_is_possible(const char *directory);

/* Like token_mint(), with the key that the nodes of this store share. Blocking. */
Err token_offline_mint_for(Str store_url, const TokenGrant *grant, int64_t now_us, Buf *token,
                           char ret_id[TOKEN_ID_SIZE], Error *error) must_check;

/* Like token_mint(), with DIR/signing.key. ERR_INVALID when there is none: it is never made here,
 * since no node would know it. */
Err token_offline_mint(const char *directory, const TokenGrant *grant, int64_t now_us, Buf *token,
                       char ret_id[TOKEN_ID_SIZE], Error *error) must_check;
