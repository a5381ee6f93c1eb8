/* See the header. */
#include "cli/job_filter.h"

#include "base/clock.h"
#include "base/time.h"

static const char *const PLAIN[] = {"state", "queue", "type"};

/* --since as the time that it means; "" when it isn't given. */
static ExitCode read_since(const Cli *cli, char ret_time[TIME_TEXT_SIZE]) {
    const char *since = cli_flag(cli, "since");
    int64_t ms = 0;
    Error error;
    ret_time[0] = '\0';
    if (!since) return EXIT_DONE;
    if (duration_parse(str_from(since), &ms, &error) != OK) {
        return cli_usage(cli, "--since: %s", error.message);
    }
    int64_t from_us = clock_real_us() - ms * US_PER_MS;
    time_format(from_us > 0 ? from_us : 0, ret_time);
    return EXIT_DONE;
}

ExitCode job_filter_query(const Cli *cli, Buf *path) {
    char since[TIME_TEXT_SIZE];
    ExitCode code = read_since(cli, since);
    if (code != EXIT_DONE) return code;
    for (size_t i = 0; i < LENGTH(PLAIN); i++) {
        path_query(path, PLAIN[i], cli_flag(cli, PLAIN[i]));
    }
    for (size_t i = 0; cli_flag_at(cli, "tag", i); i++) {
        path_query(path, "tag", cli_flag_at(cli, "tag", i));
    }
    if (since[0]) path_query(path, "created_after", since);
    return EXIT_DONE;
}

ExitCode job_filter_members(const Cli *cli, JsonWriter *writer) {
    char since[TIME_TEXT_SIZE];
    ExitCode code = read_since(cli, since);
    if (code != EXIT_DONE) return code;
    for (size_t i = 0; i < LENGTH(PLAIN); i++) {
        const char *value = cli_flag(cli, PLAIN[i]);
        if (value) json_put_string(writer, PLAIN[i], str_from(value));
    }
    if (cli_flag(cli, "tag")) {
        json_write_key(writer, STR("tag"));
        json_begin_array(writer);
        for (size_t i = 0; cli_flag_at(cli, "tag", i); i++) {
            json_write_string(writer, str_from(cli_flag_at(cli, "tag", i)));
        }
        json_end_array(writer);
    }
    if (since[0]) json_put_string(writer, "created_after", str_from(since));
    return EXIT_DONE;
}

bool job_filter_is_given(const Cli *cli) {
    static const char *const more[] = {"tag", "since"};
    for (size_t i = 0; i < LENGTH(PLAIN); i++) {
        if (cli_flag(cli, PLAIN[i])) return true;
    }
    for (size_t i = 0; i < LENGTH(more); i++) {
        if (cli_flag(cli, more[i])) return true;
    }
    return false;
}

ExitCode job_filter_limit(const Cli *cli, Buf *path) {
    const char *limit = cli_flag(cli, "limit");
    int64_t number = 0;
    if (!limit) return EXIT_DONE;
    if (!str_to_int64(str_from(limit), &number) || number < 1 || number > 1000) {
        return cli_usage(cli, "--limit '%s' is not a whole number from 1 to 1000", limit);
    }
    path_query(path, "limit", limit);
    return EXIT_DONE;
}
