/* Scripts of HTTP requests against a node: see http_script.c. */
#pragma once

#include "base/str.h"

void http_script_run(Str script);
