/* What an entry of `types` may say: exec, timeout, env, user, cwd.
 *
 * Whether a user or a directory exists is not asked here: a worker on another machine may run it.
 */
#include "config/config_types.h"

#include <string.h>

#include "base/time.h"

enum {
    MAX_NAME = 128,
    MAX_ARGUMENTS = 1024,
    MAX_BYTES = 128 * 1024, /* of arguments and environment together */
};

static const Str MEMBERS[] = {{"exec", 4}, {"timeout", 7}, {"env", 3}, {"user", 4}, {"cwd", 3}};

void config_type_name(ConfigLoad *load, Origin origin, Str name, ConfigType *type) {
    Str rest = name;
    type->name = arena_str(load->arena, str_split(&rest, '@'));
    if (!config_is_name(type->name, MAX_NAME, "/\\")) {
        config_problem(load, origin,
                       "types." STR_FMT ": a type has 1 to %d of A-Z a-z 0-9 _ . : - / \\",
                       STR_ARG(name), MAX_NAME);
    }
    if (str_starts_with(type->name, STR("takt."))) {
        config_problem(load, origin,
                       "types." STR_FMT ": names that begin with 'takt.' are reserved",
                       STR_ARG(name));
    }
    if (rest.ptr && (!str_to_int64(rest, &type->version) || type->version < 1)) {
        config_problem(load, origin, "types." STR_FMT ": expected a version from 1 behind the '@'",
                       STR_ARG(name));
    }
}

static void set_exec(ConfigLoad *load, ConfigType *type, Str where, const Written *written) {
    if (!written->is_list || written->is_complex || written->item_count == 0) {
        config_problem(load, written->origin,
                       STR_FMT ".exec: expected a list of texts, the program first",
                       STR_ARG(where));
        return;
    }
    if (written->item_count > MAX_ARGUMENTS) {
        config_problem(load, written->origin, STR_FMT ".exec: at most %d arguments are allowed",
                       STR_ARG(where), MAX_ARGUMENTS);
        return;
    }
    if (written->items[0].len == 0) {
        config_problem(load, written->origin, STR_FMT ".exec: the program's name is empty",
                       STR_ARG(where));
    }
    type->exec = (ConfigList){written->items, written->item_count};
}

static void set_timeout(ConfigLoad *load, ConfigType *type, Str where, const Written *written) {
    Error error;
    if (duration_parse(written->text, &type->timeout_ms, &error) == OK && type->timeout_ms > 0) {
        return;
    }
    config_problem(load, written->origin, STR_FMT ".timeout: expected a duration like 60s or 1h30m",
                   STR_ARG(where));
}

bool config_type_member(ConfigLoad *load, ConfigType *type, Str where, Str member,
                        const Written *written) {
    if (str_eq(member, STR("exec"))) {
        set_exec(load, type, where, written);
        return true;
    }
    bool is_known =
        str_eq(member, STR("timeout")) || str_eq(member, STR("user")) || str_eq(member, STR("cwd"));
    if (!is_known) return false;
    if (!written->is_set) return true;
    if (written->is_list || written->is_complex) {
        config_problem(load, written->origin, STR_FMT "." STR_FMT ": expected a text",
                       STR_ARG(where), STR_ARG(member));
    } else if (str_eq(member, STR("timeout"))) {
        set_timeout(load, type, where, written);
    } else if (written->text.len > 0) {
        *(str_eq(member, STR("user")) ? &type->user : &type->cwd) = written->text;
    }
    return true;
}

void config_type_unknown(ConfigLoad *load, Origin origin, Str where, Str member) {
    Str near = str_nearest(member, MEMBERS, LENGTH(MEMBERS));
    if (near.ptr) {
        config_problem(load, origin,
                       "unknown key '" STR_FMT "." STR_FMT "'; did you mean '" STR_FMT "'?",
                       STR_ARG(where), STR_ARG(member), STR_ARG(near));
        return;
    }
    config_problem(load, origin, "unknown key '" STR_FMT "." STR_FMT "'", STR_ARG(where),
                   STR_ARG(member));
}

static bool has_nul(Str text) {
    return text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL;
}

void config_type_check(ConfigLoad *load, Origin origin, const ConfigType *type) {
    size_t bytes = 0;
    bool nul = has_nul(type->user) || has_nul(type->cwd);
    if (type->exec.count == 0) {
        config_problem(load, origin, "types." STR_FMT ": 'exec' is missing", STR_ARG(type->name));
        return;
    }
    for (size_t i = 0; i < type->exec.count; i++) {
        bytes += type->exec.items[i].len + 1;
        nul = nul || has_nul(type->exec.items[i]);
    }
    for (size_t i = 0; i < type->env_count; i++) {
        const ConfigPair *pair = &type->env[i];
        bytes += pair->name.len + pair->value.len + 2;
        nul = nul || has_nul(pair->name) || has_nul(pair->value);
        if (pair->name.len > 0 && !memchr(pair->name.ptr, '=', pair->name.len)) continue;
        config_problem(load, origin,
                       "types." STR_FMT ".env: '" STR_FMT "' can't be a variable's name",
                       STR_ARG(type->name), STR_ARG(pair->name));
    }
    if (nul) {
        config_problem(load, origin, "types." STR_FMT ": a text can't hold a NUL byte",
                       STR_ARG(type->name));
    }
    if (bytes > MAX_BYTES) {
        config_problem(load, origin, "types." STR_FMT ": exec and env have %zu bytes, more than %d",
                       STR_ARG(type->name), bytes, MAX_BYTES);
    }
}
