/* The section `types`: one entry per command. Only for src/config. */
#pragma once

#include "config/config_internal.h"

/* Splits "name@2" and checks it. */
void config_type_name(ConfigLoad *load, Origin origin, Str name, ConfigType *type);

/* Sets a member other than env; false when there is none of this name. `where` is "types.NAME". */
bool config_type_member(ConfigLoad *load, ConfigType *type, Str where, Str member,
                        const Written *written);

/* Reports a member that does not exist. */
void config_type_unknown(ConfigLoad *load, Origin origin, Str where, Str member);

/* What must hold once all members are read. */
void config_type_check(ConfigLoad *load, Origin origin, const ConfigType *type);
