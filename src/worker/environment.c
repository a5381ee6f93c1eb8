/* Builds environments. The one invariant: nothing comes from environ but LANG, and that by
 * argument. */
#include "worker/environment.h"

#include <string.h>

typedef struct Builder {
    char **entries;
    size_t count;
    Arena *arena;
} Builder;

static size_t find(const Builder *builder, Str name) {
    for (size_t i = 0; i < builder->count; i++) {
        const char *entry = builder->entries[i];
        if (strncmp(entry, name.ptr, name.len) == 0 && entry[name.len] == '=') return i;
    }
    return builder->count;
}

/* Replaces an entry of the same name. */
static void put(Builder *builder, Str name, Str value) {
    size_t at = find(builder, name);
    char *entry = arena_alloc(builder->arena, name.len + value.len + 2);
    memcpy(entry, name.ptr, name.len);
    entry[name.len] = '=';
    if (value.len > 0) memcpy(entry + name.len + 1, value.ptr, value.len);
    entry[name.len + 1 + value.len] = '\0';
    builder->entries[at] = entry;
    if (at == builder->count) builder->count++;
}

/* A NUL would cut the value short, so such a value is left out: no part of one is ever passed
 * on. */
static void put_text(Builder *builder, Str name, Str value) {
    if (value.len > 0 && !memchr(value.ptr, '\0', value.len)) put(builder, name, value);
}

static void put_int(Builder *builder, Str name, int64_t value) {
    put(builder, name, arena_format(builder->arena, "%lld", (long long)value));
}

enum { OWN_VARIABLES = 16 };

char **environment_build(const ConfigType *type, const WireJob *job, Str home, Str user, Str lang,
                         Arena *arena) {
    Builder builder = {.arena = arena};
    builder.entries = arena_zero(arena, type->env_count + OWN_VARIABLES, sizeof *builder.entries);
    put(&builder, STR("PATH"), STR(ENVIRONMENT_PATH));
    put(&builder, STR("HOME"), home.len > 0 ? home : STR("/"));
    put_text(&builder, STR("USER"), user);
    put_text(&builder, STR("LOGNAME"), user);
    put(&builder, STR("LANG"), lang.len > 0 ? lang : STR("C.UTF-8"));
    for (size_t i = 0; i < type->env_count; i++) {
        put(&builder, type->env[i].name, type->env[i].value);
    }
    put_text(&builder, STR("TAKT_JOB_ID"), job->jid);
    put_int(&builder, STR("TAKT_FENCE"), job->fence);
    put_text(&builder, STR("TAKT_JOB_TYPE"), job->jobtype);
    put_int(&builder, STR("TAKT_JOB_VERSION"), job->version > 0 ? job->version : 1);
    put_text(&builder, STR("TAKT_QUEUE"), job->queue.len > 0 ? job->queue : STR("default"));
    put_int(&builder, STR("TAKT_ATTEMPT"), job->attempt);
    put_int(&builder, STR("TAKT_PROGRESS_FD"), ENVIRONMENT_PROGRESS_FD);
    put_text(&builder, STR("TAKT_CORRELATION_ID"), job->correlation_id);
    put_text(&builder, STR("TRACEPARENT"), job->traceparent);
    return builder.entries;
}

const char *environment_get(char *const *environment, Str name) {
    for (size_t i = 0; environment[i]; i++) {
        const char *entry = environment[i];
        if (strncmp(entry, name.ptr, name.len) == 0 && entry[name.len] == '=') {
            return entry + name.len + 1;
        }
    }
    return NULL;
}

char **environment_candidates(Str program, char *const *environment, Arena *arena) {
    Str path = str_from(environment_get(environment, STR("PATH")));
    bool searched = program.len > 0 && path.ptr && !memchr(program.ptr, '/', program.len);
    size_t count = 1;
    for (size_t i = 0; searched && i < path.len; i++)
        count += path.ptr[i] == ':';
    char **candidates = arena_zero(arena, count + 1, sizeof *candidates);
    if (!searched) {
        candidates[0] = arena_cstr(arena, program);
        return candidates;
    }
    for (size_t i = 0; path.ptr; i++) {
        Str folder = str_split(&path, ':');
        if (folder.len == 0) folder = STR(".");
        Str full = arena_format(arena, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(program));
        candidates[i] = arena_cstr(arena, full);
    }
    return candidates;
}
