/* Handshake, both ends. The one invariant: a client without "v" hashes one round, because the
 * clients that send none do. */
#include "proto/greeting.h"

#include "base/hash.h"
#include "proto/members.h"
#include <openssl/crypto.h>
#include <string.h>

Challenge challenge_make(uint64_t random_rounds, uint64_t random_salt) {
    Challenge challenge = {.rounds = GREETING_ROUNDS_MIN +
                                     (int64_t)(random_rounds % GREETING_ROUNDS_SPAN)};
    static const char digits[] = "0123456789abcdef";
    uint64_t salt = random_salt >> 1;
    char reversed[GREETING_SALT_SIZE];
    size_t len = 0;
    do {
        reversed[len++] = digits[salt & 15];
        salt >>= 4;
    } while (salt);
    for (size_t i = 0; i < len; i++)
        challenge.salt[i] = reversed[len - 1 - i];
    return challenge;
}

void greeting_write(Buf *buf, const Challenge *challenge) {
    if (challenge->rounds == 0) {
        buf_add(buf, STR("+HI {\"v\":2}\r\n"));
        return;
    }
    buf_add(buf, STR("+HI {\"v\":2,\"i\":"));
    buf_add_int(buf, challenge->rounds);
    buf_add(buf, STR(",\"s\":\""));
    buf_add(buf, str_from(challenge->salt));
    buf_add(buf, STR("\"}\r\n"));
}

Err greeting_parse(Str text, Challenge *ret, Error *error) {
    if (!str_starts_with(text, STR("HI {"))) {
        return error_set(error, ERR_INVALID, "not a greeting of the worker protocol");
    }
    Json root;
    TRY(json_check((Str){text.ptr + 3, text.len - 3}, &root, error));
    int64_t version = 0;
    Challenge challenge = {0};
    Json rounds = json_member(root, STR("i"));
    Json salt = json_member(root, STR("s"));
    if (!json_int64(json_member(root, STR("v")), &version) || version != GREETING_VERSION) {
        return error_set(error, ERR_INVALID, "the server speaks another protocol version");
    }
    if (salt.text.ptr) {
        bool fits = salt.kind == JSON_STRING && salt.text.len - 2 < sizeof challenge.salt &&
                    !memchr(salt.text.ptr, '\\', salt.text.len);
        if (!fits || !json_int64(rounds, &challenge.rounds) || challenge.rounds < 1 ||
            challenge.rounds > GREETING_ROUNDS_LIMIT) {
            return error_set(error, ERR_INVALID, "the server's password challenge is malformed");
        }
        memcpy(challenge.salt, salt.text.ptr + 1, salt.text.len - 2);
    }
    *ret = challenge;
    return OK;
}

void password_hash(Str password, const Challenge *challenge, int64_t version,
                   char ret_hex[PASSWORD_HASH_SIZE]) {
    uint8_t digest[SHA256_SIZE];
    Buf first;
    buf_init(&first, password.len + sizeof challenge->salt);
    buf_add(&first, password);
    buf_add(&first, str_from(challenge->salt));
    hash_sha256(buf_str(&first), digest);
    OPENSSL_cleanse(first.data, first.len);
    buf_done(&first);
    int64_t rounds = version < GREETING_VERSION ? 1 : challenge->rounds;
    for (int64_t i = 1; i < rounds; i++) {
        hash_sha256((Str){(const char *)digest, sizeof digest}, digest);
    }
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[PASSWORD_HASH_SIZE - 1] = '\0';
}

bool password_matches(Str given, const char expected[PASSWORD_HASH_SIZE]) {
    return given.len == PASSWORD_HASH_SIZE - 1 &&
           CRYPTO_memcmp(given.ptr, expected, PASSWORD_HASH_SIZE - 1) == 0;
}

static Err check_labels(Json labels, Error *error) {
    if (!labels.text.ptr) return OK;
    JsonIter iter = json_iter(labels);
    Json label;
    while (json_next(&iter, NULL, &label)) {
        if (label.kind != JSON_STRING) {
            return error_set(error, ERR_INVALID, "labels must be strings");
        }
    }
    return OK;
}

static Err read_extension(Json extension, Arena *arena, Hello *hello, Error *error) {
    if (!extension.text.ptr) return OK;
    hello->opted_in = true;
    const Member members[] = {MEMBER_STR("token", &hello->token)};
    return members_read(extension, members, LENGTH(members), arena, error);
}

Err hello_parse(Str argument, Arena *arena, Hello *ret, Error *error) {
    if (argument.len == 0 || argument.ptr[0] != '{') {
        return error_set(error, ERR_INVALID, "HELLO takes an object");
    }
    Json root;
    TRY(json_check(argument, &root, error));
    Hello hello = {0};
    Json extension = {0};
    const Member members[] = {
        MEMBER_INT("v", &hello.version),         MEMBER_STR("hostname", &hello.hostname),
        MEMBER_STR("wid", &hello.wid),           MEMBER_INT("pid", &hello.pid),
        MEMBER_ARRAY("labels", &hello.labels),   MEMBER_STR("pwdhash", &hello.pwdhash),
        MEMBER_STR("username", &hello.username), MEMBER_OBJECT("takt", &extension),
    };
    TRY(members_read(root, members, LENGTH(members), arena, error));
    TRY(check_labels(hello.labels, error));
    TRY(read_extension(extension, arena, &hello, error));
    *ret = hello;
    return OK;
}

static void put_present(JsonWriter *writer, const char *key, Str value) {
    if (value.ptr) json_put_string(writer, key, value);
}

void hello_write(Buf *buf, const Hello *hello) {
    buf_add(buf, STR("HELLO "));
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    json_put_int(&writer, "v", hello->version);
    put_present(&writer, "hostname", hello->hostname);
    put_present(&writer, "wid", hello->wid);
    if (hello->pid) json_put_int(&writer, "pid", hello->pid);
    if (hello->labels.text.ptr) json_put_raw(&writer, "labels", hello->labels.text);
    put_present(&writer, "pwdhash", hello->pwdhash);
    put_present(&writer, "username", hello->username);
    if (hello->opted_in) {
        json_write_key(&writer, STR("takt"));
        json_begin_object(&writer);
        put_present(&writer, "token", hello->token);
        json_end_object(&writer);
    }
    json_end_object(&writer);
    buf_add(buf, STR("\r\n"));
}
