/* The data directory: made with mode 0700, and the admin token in it. */
#pragma once

#include "auth/token.h"

/* Makes it where it is missing (its parent must exist). ERR_INVALID says what is in the way. */
Err data_directory_make(const char *path, Error *error) must_check;

/* Writes DIR/admin.token (mode 0600) unless a token that still counts is there. */
Err admin_token_write(const char *directory, TokenKeys *keys, Error *error) must_check;
