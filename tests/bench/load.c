// load: the two ends of a WebSocket benchmark, cheap enough not to be what is measured.
//
//   load origin              listens on a port of 127.0.0.1 chosen by the kernel, prints it, echoes every data frame
//   load client PORT N SIZE INFLIGHT HOST [tls]
//                            opens N connections to 127.0.0.1:PORT, prints "ready"; then answers each line of its
//                            standard input by a number:
//                              MILLISECONDS  keeps INFLIGHT messages of SIZE bytes under way on every connection for
//                                            that long, waits for what is still under way; the echoed messages
//                              open M        opens M more connections and leaves them idle; M
//                              close         closes those; 0
//                            End of input ends it.
//
// One thread, epoll; TCP, or TLS 1.3 with AES-128-GCM, whose certificate is not checked. Client frames carry the mask
// key 0, so that a payload is the same on both legs. Link with -lssl -lcrypto.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, EVENTS = 256 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

// Sec-WebSocket-Accept (RFC 6455, section 4.2.2): 28 characters and a zero.
static void accept_of(const char *key, char *out) {
  char text[64];
  uint8_t digest[SHA_DIGEST_LENGTH];
  int size = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  SHA1((uint8_t *)text, size, digest);
  EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
}

static void send_all(int fd, const uint8_t *data, size_t size) {
  while (size) {
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) fail("send");
      continue;  // the peer is always reading: a short spin
    }
    data += n, size -= n;
  }
}

typedef struct {
  int fd, open;
  uint8_t *in;
  size_t have;
  SSL *tls;
} End;

static SSL_CTX *context;  // NULL: plain TCP

static void say(End *end, const uint8_t *data, size_t size) {
  if (!end->tls) return send_all(end->fd, data, size);
  int n;
  while ((n = SSL_write(end->tls, data, size)) <= 0)
    if (SSL_get_error(end->tls, n) != SSL_ERROR_WANT_WRITE && SSL_get_error(end->tls, n) != SSL_ERROR_WANT_READ)
      fail("TLS write");
}

// Bytes read; -1: nothing is there yet; 0: the end.
static ssize_t hear(End *end, uint8_t *data, size_t size) {
  if (!end->tls) return recv(end->fd, data, size, 0);
  size_t have = 0;
  for (;;) {
    int n = SSL_read(end->tls, data + have, size - have);
    if (n > 0) have += n;
    if (n > 0 && have < size) continue;
    if (have) return have;
    return SSL_get_error(end->tls, n) == SSL_ERROR_WANT_READ ? -1 : 0;
  }
}

// Length of the frame at p, header included, 0 when its header is not whole; `head` is the header's length.
static size_t frame(const uint8_t *p, size_t have, size_t *head) {
  if (have < 2) return 0;
  size_t n = p[1] & 127, h = 2;
  if (n == 126) {
    if (have < 4) return 0;
    n = p[2] << 8 | p[3], h = 4;
  } else if (n == 127) {
    if (have < 10) return 0;
    n = 0, h = 10;
    for (int i = 2; i < 10; i++) n = n << 8 | p[i];
  }
  *head = h + (p[1] & 128 ? 4 : 0);
  return *head + n;
}

// Origin: writes the frames of `end` back, unmasked.
static int echo(End *end) {
  static uint8_t out[BUFFER];
  size_t at = 0, size = 0, head, n;
  if (!end->open) {
    char *stop = memmem(end->in, end->have, "\r\n\r\n", 4), answer[256], accept[32];
    if (!stop) return 1;
    end->in[stop - (char *)end->in] = 0;
    char *key = strcasestr((char *)end->in, "sec-websocket-key:");
    if (!key) return 0;
    for (key += 18; *key == ' '; key++) {}
    accept_of(key, accept);
    n = snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    send_all(end->fd, (uint8_t *)answer, n);
    end->open = 1;
    at = stop + 4 - (char *)end->in;
  }
  while ((n = frame(end->in + at, end->have - at, &head)) && n <= end->have - at) {
    uint8_t *p = end->in + at, *mask = p + head - 4, *body = p + head, *to = out + size;
    size_t length = n - head, h = length < 126 ? 2 : length < 65536 ? 4 : 10;
    if (!(p[1] & 128)) fail("an unmasked frame reached the origin");
    if ((p[0] & 15) == 8) return 0;
    if ((p[0] & 15) < 8) {
      to[0] = p[0];
      memcpy(to + 1, p + 1, h - 1);
      to[1] &= 127;
      if (mask[0] | mask[1] | mask[2] | mask[3])
        for (size_t i = 0; i < length; i++) to[h + i] = body[i] ^ mask[i & 3];
      else
        memcpy(to + h, body, length);
      size += h + length;
    }
    at += n;
  }
  memmove(end->in, end->in + at, end->have -= at);
  if (size) send_all(end->fd, out, size);
  return 1;
}

static void origin(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  if (bind(listener, (struct sockaddr *)&a, size) || listen(listener, 4096)) fail("listen");
  getsockname(listener, (struct sockaddr *)&a, &size);
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  struct epoll_event e = {EPOLLIN, {.ptr = NULL}}, batch[EVENTS];
  epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
  static uint8_t spare[BUFFER];
  for (;;) {
    int n = epoll_wait(ep, batch, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      End *end = batch[i].data.ptr;
      if (!end) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        end = calloc(1, sizeof *end);
        end->fd = fd;
        e.data.ptr = end;
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        continue;
      }
      // What is left of a frame is kept per connection; a quiet connection keeps nothing.
      memcpy(spare, end->in, end->have);
      ssize_t got = recv(end->fd, spare + end->have, BUFFER - end->have, 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      uint8_t *kept = end->in;
      end->in = spare;
      if (got > 0) end->have += got;
      int alive = got > 0 && echo(end);
      end->in = kept;
      if (!alive) {
        close(end->fd);
        free(end->in);
        free(end);
        continue;
      }
      if (end->have) {
        end->in = realloc(end->in, end->have);
        memcpy(end->in, spare, end->have);
      } else {
        free(end->in);
        end->in = NULL;
      }
    }
  }
}

static End connect_to(int port, const char *host) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  End end = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
  char head[512];
  int one = 1, have = 0;
  if (connect(end.fd, (struct sockaddr *)&a, sizeof a)) fail("connect");
  setsockopt(end.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  int n = snprintf(head, sizeof head,
                   "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host);
  if (context) {
    end.tls = SSL_new(context);
    SSL_set_tlsext_host_name(end.tls, host);
    SSL_set_fd(end.tls, end.fd);
    if (SSL_connect(end.tls) != 1) fail("TLS handshake");
  }
  say(&end, (uint8_t *)head, n);
  while (have < 4 || memcmp(head + have - 4, "\r\n\r\n", 4))
    if (have == sizeof head - 1 || (context ? SSL_read(end.tls, head + have++, 1) : recv(end.fd, head + have++, 1, 0)) != 1)
      fail("handshake");
  if (context) fcntl(end.fd, F_SETFL, O_NONBLOCK);
  head[have] = 0;
  if (!strstr(head, " 101 ")) {
    fprintf(stderr, "refused: %s", head);
    exit(1);
  }
  return end;
}

// Runs one slice and returns the number of echoed messages.
static long slice(int ep, End *ends, int count, const uint8_t *message, size_t size, size_t echoed, int inflight,
                  double length) {
  static uint8_t in[BUFFER];
  struct epoll_event batch[EVENTS];
  double end = seconds() + length;
  long done = 0, open = (long)count * inflight;
  uint8_t *burst = malloc(size * inflight);
  for (int i = 0; i < inflight; i++) memcpy(burst + i * size, message, size);
  for (int i = 0; i < count; i++) say(ends + i, burst, size * inflight);
  while (open) {
    int n = epoll_wait(ep, batch, EVENTS, 5000), late = seconds() >= end;
    if (n <= 0) fail("no echo within 5 s");
    for (int i = 0; i < n; i++) {
      End *e = batch[i].data.ptr;
      ssize_t got = hear(e, in, BUFFER);
      if (got < 0 && e->tls) continue;
      if (got <= 0) fail("the proxy closed a connection");
      long whole = (e->have + got) / echoed;
      e->have = (e->have + got) % echoed;
      done += whole;
      if (late)
        open -= whole;
      else
        for (long left = whole; left > 0; left -= inflight)
          say(e, burst, size * (left < inflight ? left : inflight));
    }
  }
  free(burst);
  return done;
}

static void client(int port, int count, int length, int inflight, const char *host) {
  size_t h = length < 126 ? 2 : length < 65536 ? 4 : 10, size = h + 4 + length;
  uint8_t *message = calloc(1, size);
  message[0] = 0x82;
  message[1] = 0x80 | (length < 126 ? length : length < 65536 ? 126 : 127);
  for (size_t i = 2; i < h; i++) message[i] = (uint64_t)length >> (8 * (h - 1 - i));
  End *ends = calloc(count, sizeof *ends);
  int ep = epoll_create1(0);
  for (int i = 0; i < count; i++) {
    ends[i] = connect_to(port, host);
    struct epoll_event e = {EPOLLIN, {.ptr = ends + i}};
    epoll_ctl(ep, EPOLL_CTL_ADD, ends[i].fd, &e);
  }
  puts("ready");
  fflush(stdout);
  char line[64];
  End *idle = NULL;
  int idles = 0;
  while (fgets(line, sizeof line, stdin)) {
    long answer = 0;
    if (!strncmp(line, "open ", 5)) {
      answer = atol(line + 5);
      idle = realloc(idle, (idles + answer) * sizeof *idle);
      for (long i = 0; i < answer; i++) idle[idles++] = connect_to(port, host);
    } else if (!strcmp(line, "close\n")) {
      for (; idles; idles--) {
        close(idle[idles - 1].fd);
        SSL_free(idle[idles - 1].tls);
      }
    } else {
      answer = slice(ep, ends, count, message, size, h + length, inflight, atol(line) / 1e3);
    }
    printf("%ld\n", answer);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (argc == 2 && !strcmp(argv[1], "origin"))
    origin();
  else if (argc >= 7 && !strcmp(argv[1], "client")) {
    if (argc > 7) {
      context = SSL_CTX_new(TLS_client_method());
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
      SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
      SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    client(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), argv[6]);
  } else
    return fprintf(stderr, "usage: load origin | load client PORT N SIZE INFLIGHT HOST [tls]\n"), 2;
  return 0;
}
