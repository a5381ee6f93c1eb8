/* Worker protocol sessions against a node: see proto_session.c. */
#pragma once

#include "base/str.h"

/* The script of one input. `password`: the node asks for "secret". */
void proto_session_run(Str script, bool password);
