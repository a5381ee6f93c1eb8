/* Blocking I/O over a non-blocking socket and poll(2). The one invariant: no call outlives its
 * deadline, but for the system's name lookup. */
#include "client/wire.h"

#include "base/clock.h"
#include "base/time.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Err await(const Wire *wire, short events, int64_t deadline_us, Error *error) {
    for (;;) {
        int64_t left_us = deadline_us - clock_mono_us();
        if (left_us <= 0) return error_set(error, ERR_TIMEOUT, "the server does not answer");
        struct pollfd poller = {.fd = wire->fd, .events = events};
        int64_t left_ms = left_us / US_PER_MS + 1;
        int count = poll(&poller, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (count > 0) return OK;
        if (count < 0 && errno != EINTR) {
            return error_set(error, ERR_UNAVAILABLE, "waiting: %s", strerror(errno));
        }
    }
}

static Err connect_one(Wire *wire, const struct addrinfo *info, int64_t deadline_us, Error *error) {
    wire->fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0) return error_set(error, ERR_UNAVAILABLE, "socket: %s", strerror(errno));
    int status = connect(wire->fd, info->ai_addr, info->ai_addrlen);
    if (status != 0 && errno == EINPROGRESS) {
        TRY(await(wire, POLLOUT, deadline_us, error));
        socklen_t len = sizeof status;
        getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &status, &len);
        errno = status;
    }
    if (status == 0) return OK;
    return error_set(error, ERR_UNAVAILABLE, "connecting: %s", strerror(errno));
}

void wire_probe(const Wire *wire) {
    static const int options[][3] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                                     {IPPROTO_TCP, TCP_KEEPIDLE, 1},
                                     {IPPROTO_TCP, TCP_KEEPINTVL, 1},
                                     {IPPROTO_TCP, TCP_KEEPCNT, 127}};
    for (size_t i = 0; i < LENGTH(options); i++) {
        /* without it a close is found later */
        (void)setsockopt(wire->fd, options[i][0], options[i][1], &options[i][2],
                         sizeof options[i][2]);
    }
}

/* What the last operation waits for, or why it failed. */
static Err tls_await(Wire *wire, int result, int64_t deadline_us, Error *error) {
    switch (SSL_get_error(wire->tls, result)) {
    case SSL_ERROR_WANT_READ: return await(wire, POLLIN, deadline_us, error);
    case SSL_ERROR_WANT_WRITE: return await(wire, POLLOUT, deadline_us, error);
    case SSL_ERROR_ZERO_RETURN:
        return error_set(error, ERR_UNAVAILABLE, "the server closed the connection");
    default: break;
    }
    if (SSL_get_verify_result(wire->tls) != X509_V_OK) {
        return error_set(error, ERR_DENIED, "the server's certificate is not trusted: %s",
                         X509_verify_cert_error_string(SSL_get_verify_result(wire->tls)));
    }
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return error_set(error, ERR_UNAVAILABLE, "TLS: %s", reason ? reason : "connection broken");
}

/* The certificate must be for the host's name, or its address where the URL gives one. */
static bool expect_host(SSL *tls, const char *host) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) return true;
    void *name = (void *)(uintptr_t)host; /* what SSL_set_tlsext_host_name() casts away const for */
    return SSL_set1_host(tls, host) == 1 &&
           SSL_ctrl(tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

static Err start_tls(Wire *wire, const ServerAddress *address, const char *ca_file,
                     int64_t deadline_us, Error *error) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) return error_set(error, ERR_UNAVAILABLE, "TLS can't be set up");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int loaded = ca_file ? SSL_CTX_load_verify_file(context, ca_file)
                         : SSL_CTX_set_default_verify_paths(context);
    wire->tls = loaded == 1 ? SSL_new(context) : NULL;
    SSL_CTX_free(context);
    if (loaded != 1) return error_set(error, ERR_INVALID, "the file of certificates can't be read");
    if (!wire->tls || !expect_host(wire->tls, address->host) || !SSL_set_fd(wire->tls, wire->fd)) {
        return error_set(error, ERR_UNAVAILABLE, "TLS can't be set up");
    }
    int result;
    while ((result = SSL_connect(wire->tls)) != 1) {
        TRY(tls_await(wire, result, deadline_us, error));
    }
    return OK;
}

void wire_close(Wire *wire) {
    if (wire->tls) SSL_free(wire->tls);
    if (wire->fd >= 0) close(wire->fd);
    *wire = (Wire){.fd = -1};
}

Err wire_open(Wire *wire, const ServerAddress *address, const char *ca_file, int64_t deadline_us,
              Error *error) {
    *wire = (Wire){.fd = -1};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(address->host, address->port, &hints, &found);
    if (status != 0) {
        return error_set(error, ERR_UNAVAILABLE, "looking up '%s': %s", address->host,
                         gai_strerror(status));
    }
    Err err = ERR_UNAVAILABLE;
    for (const struct addrinfo *at = found; at && err != OK; at = at->ai_next) {
        wire_close(wire);
        err = connect_one(wire, at, deadline_us, error);
    }
    freeaddrinfo(found);
    if (err == OK && address->tls) err = start_tls(wire, address, ca_file, deadline_us, error);
    if (err != OK) wire_close(wire);
    return err;
}

/* OpenSSL writes without MSG_NOSIGNAL: a SIGPIPE of ours is taken back before anyone sees it. */
static int tls_write(SSL *tls, const char *bytes, int len) {
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ERR_clear_error();
    int count = SSL_write(tls, bytes, len);
    if (count <= 0 && !sigismember(&pending, SIGPIPE)) {
        const struct timespec none = {0};
        int saved = errno;
        while (sigtimedwait(&pipe, NULL, &none) < 0 && errno == EINTR)
            continue;
        errno = saved;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count;
}

Err wire_write(Wire *wire, const char *bytes, size_t len, int64_t deadline_us, Error *error) {
    while (len > 0) {
        ssize_t count;
        if (wire->tls) {
            count = tls_write(wire->tls, bytes, len > 16384 ? 16384 : (int)len);
            if (count <= 0) TRY(tls_await(wire, (int)count, deadline_us, error));
        } else {
            count = send(wire->fd, bytes, len, MSG_NOSIGNAL);
            if (count < 0 && errno == EAGAIN) {
                TRY(await(wire, POLLOUT, deadline_us, error));
            } else if (count < 0 && errno != EINTR) {
                return error_set(error, ERR_UNAVAILABLE, "sending: %s", strerror(errno));
            }
        }
        if (count <= 0) continue;
        bytes += count;
        len -= (size_t)count;
    }
    return OK;
}

Err wire_read(Wire *wire, char *bytes, size_t size, int64_t deadline_us, size_t *ret_len,
              Error *error) {
    for (;;) {
        ssize_t count;
        if (wire->tls) {
            ERR_clear_error();
            count = SSL_read(wire->tls, bytes, size > 1 << 20 ? 1 << 20 : (int)size);
            if (count <= 0) TRY(tls_await(wire, (int)count, deadline_us, error));
        } else {
            count = recv(wire->fd, bytes, size, 0);
            if (count == 0) {
                return error_set(error, ERR_UNAVAILABLE, "the server closed the connection");
            }
            if (count < 0 && errno == EAGAIN) {
                TRY(await(wire, POLLIN, deadline_us, error));
            } else if (count < 0 && errno != EINTR) {
                return error_set(error, ERR_UNAVAILABLE, "receiving: %s", strerror(errno));
            }
        }
        if (count <= 0) continue;
        *ret_len = (size_t)count;
        return OK;
    }
}
