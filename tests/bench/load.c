// load: both ends of a WebSocket benchmark in one loop, cheap enough not to limit the measurement.
//
// Answers each line of its standard input with a line; the unit of a time is in its name:
//   listen                              a new origin on a port of 127.0.0.1 chosen by the kernel, which echoes every
//                                       data frame; the port
//   connect PORT N SIZE INFLIGHT TLS    a group of N connections to 127.0.0.1:PORT (TLS: 1 or 0) for messages of SIZE
//                                       bytes; the group's number
//   run GROUP K MILLISECONDS            keeps INFLIGHT messages under way on the first K connections for that long, then
//                                       waits for the last echoes; the number of echoed messages
//   rate GROUP K PERSECOND MILLISECONDS sends that many messages in a second at random times (a Poisson process, the
//                                       same in each run) on random ones of the first K connections, with or without
//                                       echoes; sent, echoed, connections closed by the proxy, then microseconds from
//                                       the time a message was due to its echo: median, 99th percentile, maximum; last
//                                       the load's own delay: 99th percentile
//   open GROUP M ATONCE                 opens M more connections, ATONCE handshakes under way, and leaves them idle; M
//   shut GROUP                          ends those connections, and waits until the proxy has ended them and those to
//                                       the origin; their number
//   end GROUP                           closes the whole group; the number of its connections
//   tls GROUP                           the agreed TLS parameters: version, cipher, group, certificate, resumed, tickets
// The end of input ends the program.
//
// One thread, epoll; TCP, or TLS 1.3 with AES-128-GCM and X25519, whose certificate is not checked and whose sessions
// are never resumed. Client frames carry the mask key 0, so that a payload is the same on both legs.
// Compile with -DHOST='"name"', link with -lssl -lcrypto -lm.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

enum { BUFFER = 1 << 18, HEAD = 1024, EVENTS = 256, FEW = 8, GROUPS = 256, PATIENCE = 5000 };
enum { COMMANDS, LISTENER, ORIGIN, CLIENT };
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

typedef struct Group Group;

// One watched descriptor: an end of a connection, a listener, or standard input.
typedef struct {
  int fd, kind, open;
  uint8_t *in;      // the received part of a handshake or of a frame
  size_t have;      // its size; of an open client: received bytes of the present echo
  uint8_t *out;     // bytes that the socket did not accept yet
  size_t left;
  int first, last;  // messages without an echo, of an open loop; -1: none
  SSL *tls;
  Group *group;
} End;

struct Group {
  int port, busy, count, opening, inflight, closed, tls, tickets;
  size_t size, echoed;  // of a message with its header, each way
  uint8_t *burst;       // `inflight` messages
  End **ends;           // the busy ones, then the idle ones
};

static Group *groups[GROUPS];
static SSL_CTX *context;
static int ep, commanded, origins;  // origins: their open connections
static uint8_t buffer[BUFFER];

// The present run: a closed loop (no times), or an open one.
static struct {
  Group *group;
  double until;
  long done, open;
  double *due;   // when each message is due; its latency after the echo
  int *next;     // the message after it on its connection
} load;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(End *end, int how, uint32_t events) {
  struct epoll_event e = {events, {.ptr = end}};
  if (epoll_ctl(ep, how, end->fd, &e)) fail("epoll_ctl");
}

static End *new_end(int fd, int kind) {
  End *end = calloc(1, sizeof *end);
  *end = (End){.fd = fd, .kind = kind, .first = -1, .last = -1};
  watch(end, EPOLL_CTL_ADD, EPOLLIN);
  return end;
}

static void drop(End *end) {
  origins -= end->kind == ORIGIN;
  close(end->fd);
  SSL_free(end->tls);
  free(end->in);
  free(end->out);
  free(end);
}

// ---- bytes, through TLS or not

// Returns the number of accepted bytes, 0 when the socket is full. A broken connection accepts all: its end is read.
static size_t put(End *end, const uint8_t *data, size_t size) {
  ssize_t n = end->tls ? SSL_write(end->tls, data, size) : send(end->fd, data, size, MSG_NOSIGNAL);
  if (n > 0) return n;
  if (end->tls) return SSL_get_error(end->tls, n) == SSL_ERROR_WANT_WRITE ? 0 : size;
  return errno == EAGAIN ? 0 : size;
}

static void say(End *end, const uint8_t *data, size_t size) {
  for (size_t n; !end->left && size && (n = put(end, data, size));) data += n, size -= n;
  if (!size) return;
  end->out = realloc(end->out, end->left + size);
  memcpy(end->out + end->left, data, size);
  if (!end->left) watch(end, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  end->left += size;
}

static void say_rest(End *end) {
  size_t at = 0;
  for (size_t n; at < end->left && (n = put(end, end->out + at, end->left - at));) at += n;
  memmove(end->out, end->out + at, end->left -= at);
  if (!end->left) watch(end, EPOLL_CTL_MOD, EPOLLIN);
}

// Returns the number of bytes read; -1: none yet; 0: the end.
static ssize_t hear(End *end, uint8_t *data, size_t size) {
  if (!end->tls) {
    ssize_t n = recv(end->fd, data, size, 0);
    return n >= 0 ? n : errno == EAGAIN ? -1 : 0;
  }
  size_t have = 0;
  for (;;) {
    int n = SSL_read(end->tls, data + have, size - have);
    if (n > 0) have += n;
    if (n > 0 && have < size) continue;
    if (have) return have;
    return SSL_get_error(end->tls, n) == SSL_ERROR_WANT_READ ? -1 : 0;
  }
}

// ---- origin

// Sec-WebSocket-Accept (RFC 6455, section 4.2.2): 28 characters and a zero.
static void accept_of(const char *key, char *out) {
  char text[64];
  uint8_t digest[SHA_DIGEST_LENGTH];
  int size = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  SHA1((uint8_t *)text, size, digest);
  EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
}

// Returns the length of the frame at p with its header, 0 when the header is not whole; `head` is the header's length.
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

// Answers the upgrade; returns the position of the first frame, 0 when the request is not whole, -1 when it is invalid.
static ssize_t upgrade(End *end, uint8_t *in, size_t have) {
  char *stop = memmem(in, have, "\r\n\r\n", 4), answer[256], accept[32];
  if (!stop) return 0;
  *stop = 0;
  char *key = strcasestr((char *)in, "sec-websocket-key:");
  if (!key) return -1;
  for (key += 18; *key == ' '; key++) {}
  accept_of(key, accept);
  int n = snprintf(answer, sizeof answer,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  say(end, (uint8_t *)answer, n);
  end->open = 1;
  return stop + 4 - (char *)in;
}

// Sends the whole frames back, unmasked; returns the number of consumed bytes, -1 for the end.
static ssize_t echo(End *end, uint8_t *in, size_t have) {
  static uint8_t out[BUFFER];
  size_t at = 0, size = 0, head, n;
  while ((n = frame(in + at, have - at, &head)) && n <= have - at) {
    uint8_t *p = in + at, *mask = p + head - 4, *body = p + head, *to = out + size;
    size_t length = n - head, h = length < 126 ? 2 : length < 65536 ? 4 : 10;
    if (!(p[1] & 128)) fail("an unmasked frame reached the origin");
    if ((p[0] & 15) == 8) return -1;
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
  if (size) say(end, out, size);
  return at;
}

static void serve(End *end) {
  memcpy(buffer, end->in, end->have);
  ssize_t got = hear(end, buffer + end->have, BUFFER - end->have), at = 0, more = 0;
  if (got < 0) return;
  size_t have = end->have + got;
  if (got && !end->open) at = upgrade(end, buffer, have);
  if (got && at >= 0 && end->open) at += more = echo(end, buffer + at, have - at);
  if (!got || at < 0 || more < 0) return drop(end);
  // The rest of a frame is stored per connection; an idle connection stores nothing.
  end->have = have - at;
  end->in = realloc(end->in, end->have + 1);
  memcpy(end->in, buffer + at, end->have);
  if (!end->have) free(end->in), end->in = NULL;
}

static void take(End *listener) {
  for (int fd, one = 1; (fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0; new_end(fd, ORIGIN), origins++)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int listen_somewhere(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  if (bind(fd, (struct sockaddr *)&a, size) || listen(fd, 4096)) fail("listen");
  getsockname(fd, (struct sockaddr *)&a, &size);
  new_end(fd, LISTENER);
  return ntohs(a.sin_port);
}

// ---- clients

static void request(End *end) {
  static const char head[] = "GET / HTTP/1.1\r\nHost: " HOST "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n";
  end->in = malloc(HEAD);
  say(end, (const uint8_t *)head, sizeof head - 1);
}

static void go_on_with_tls(End *end) {
  int n = SSL_connect(end->tls);
  if (n != 1 && SSL_get_error(end->tls, n) != SSL_ERROR_WANT_READ) fail("TLS handshake");
  if (n == 1) request(end);
}

static void dial(Group *group) {
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(group->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  // The kernel completes a connection to a loopback listener, so this does not wait for the proxy.
  if (connect(fd, (struct sockaddr *)&a, sizeof a)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  End *end = group->ends[group->count++] = new_end(fd, CLIENT);
  end->group = group;
  group->opening++;
  if (!group->tls) return request(end);
  end->tls = SSL_new(context);
  SSL_set_tlsext_host_name(end->tls, HOST);
  SSL_set_fd(end->tls, fd);
  SSL_set_app_data(end->tls, end);
  go_on_with_tls(end);
}

static void open_further(End *end) {
  if (end->tls && !SSL_is_init_finished(end->tls)) return go_on_with_tls(end);
  ssize_t got = hear(end, end->in + end->have, HEAD - 1 - end->have);
  if (got < 0) return;
  end->in[end->have += got] = 0;
  char *text = (char *)end->in, accept[32];
  if (got && end->have < HEAD - 1 && !strstr(text, "\r\n\r\n")) return;
  accept_of(KEY, accept);
  if (!got || !strstr(text, " 101 ") || !strstr(text, accept)) {
    fprintf(stderr, "port %d, connection %d: refused: %s\n", end->group->port, end->group->count, text);
    exit(1);
  }
  free(end->in);
  end->in = NULL;
  end->have = 0;
  end->open = 1;
  end->group->opening--;
}

// Counts `whole` echoes of a message; a closed loop sends as many more.
static void echoed(End *end, long whole) {
  Group *group = end->group;
  if (load.group != group) fail("an echo of nothing");
  load.done += whole;
  if (load.due) {
    double now = seconds();
    for (int i; whole && (i = end->first) >= 0; whole--) {
      load.due[i] = now - load.due[i];
      end->first = load.next[i];
      load.open--;
    }
  } else if (seconds() >= load.until) {
    load.open -= whole;
  } else {
    size_t one = group->size;
    for (long n; whole > 0; whole -= n) n = whole < group->inflight ? whole : group->inflight, say(end, group->burst, one * n);
  }
}

static void listen_to(End *end) {
  ssize_t got = hear(end, buffer, BUFFER);
  if (got < 0) return;
  if (!got || (!end->have && buffer[0] != 0x82)) {  // the end, or a Close
    if (load.group == end->group && !load.due) fail("the proxy closed a connection");
    end->group->closed++;
    end->open = 0;
    epoll_ctl(ep, EPOLL_CTL_DEL, end->fd, NULL);
    return;
  }
  long whole = (end->have + got) / end->group->echoed;
  end->have = (end->have + got) % end->group->echoed;
  if (whole) echoed(end, whole);
}

// ---- the loop

static int turn(int most, int timeout) {
  struct epoll_event batch[EVENTS];
  int n = epoll_wait(ep, batch, most, timeout);
  for (int i = 0; i < n; i++) {
    End *end = batch[i].data.ptr;
    if (end->left && batch[i].events & EPOLLOUT) say_rest(end);
    if (!(batch[i].events & ~EPOLLOUT)) continue;
    if (end->kind == COMMANDS) commanded = 1;
    else if (end->kind == LISTENER) take(end);
    else if (end->kind == ORIGIN) serve(end);
    else if (end->open) listen_to(end);
    else open_further(end);
  }
  return n;
}

static void grow(Group *group, int more, int at_once) {
  int most = group->count + more;
  group->ends = realloc(group->ends, most * sizeof *group->ends);
  while (group->count < most || group->opening) {
    while (group->count < most && group->opening < at_once) dial(group);
    if (turn(EVENTS, PATIENCE) <= 0) {
      for (int i = 0; i < group->count; i++)
        if (!group->ends[i]->open)
          fprintf(stderr, "port %d, connection %d of %d: %s\n", group->port, i, group->count,
                  group->ends[i]->in ? "no answer to the upgrade" : "TLS handshake under way");
      fail("no answer to a handshake within 5 s");
    }
  }
}

static int shrink(Group *group, int least) {
  int gone = group->count - least;
  while (group->count > least) drop(group->ends[--group->count]);
  return gone;
}

// No other connection ends meanwhile: the other groups are idle.
static int shut(Group *group) {
  int gone = group->count - group->busy, closed = group->closed, most = origins - gone;
  for (int i = group->busy; i < group->count; i++) {
    if (group->tls) SSL_shutdown(group->ends[i]->tls);
    shutdown(group->ends[i]->fd, SHUT_WR);
  }
  while (origins > most || group->closed < closed + gone)
    if (turn(EVENTS, 2 * PATIENCE) <= 0) fail("the proxy does not end a connection within 10 s");
  group->closed = closed;
  return shrink(group, group->busy);
}

static int connect_group(int port, int count, int length, int inflight, int tls) {
  size_t h = length < 126 ? 2 : length < 65536 ? 4 : 10, size = h + 4 + length;
  Group *group = calloc(1, sizeof *group);
  *group = (Group){.port = port, .busy = count, .inflight = inflight, .tls = tls, .size = size, .echoed = h + length};
  group->burst = calloc(inflight, size);
  for (int m = 0; m < inflight; m++) {
    uint8_t *message = group->burst + m * size;
    message[0] = 0x82;
    message[1] = 0x80 | (length < 126 ? length : length < 65536 ? 126 : 127);
    for (size_t i = 2; i < h; i++) message[i] = (uint64_t)length >> (8 * (h - 1 - i));
  }
  grow(group, count, 16);
  for (int i = 0; i < GROUPS; i++)
    if (!groups[i]) return groups[i] = group, i;
  fail("too many groups");
  return -1;
}

static long run(Group *group, int busy, int milliseconds) {
  load.group = group;
  load.until = seconds() + milliseconds / 1e3;
  load.done = 0;
  load.open = (long)busy * group->inflight;
  for (int i = 0; i < busy; i++) say(group->ends[i], group->burst, group->size * group->inflight);
  while (load.open)
    if (turn(EVENTS, PATIENCE) <= 0) fail("no echo within 5 s");
  load.group = NULL;
  return load.done;
}

static double uniform(uint64_t *state) {  // xorshift64*, (0, 1]
  *state ^= *state >> 12, *state ^= *state << 25, *state ^= *state >> 27;
  return ((*state * 2685821657736338717ull >> 11) + 1) / 9007199254740992.0;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void send_one(End *end, double due, int number) {
  load.due[number] = due;
  load.next[number] = -1;
  if (end->first < 0) end->first = number;
  else load.next[end->last] = number;
  end->last = number;
  load.open++;
  say(end, end->group->burst, end->group->size);
}

static void rate(Group *group, int busy, double per_second, double length) {
  int most = per_second * length * 1.5 + 1000, sent = 0, closed = group->closed;
  double now = seconds(), due = now, end = now + length, *late = calloc(most, sizeof *late);
  uint64_t state = 88172645463325252ull;
  load.group = group;
  load.due = calloc(most, sizeof *load.due);
  load.next = calloc(most, sizeof *load.next);
  load.done = load.open = 0;
  while (due < end || (load.open && now < end + 2)) {
    now = seconds();
    for (; due <= now && due < end && sent < most; sent++, now = seconds()) {
      late[sent] = now - due;
      send_one(group->ends[(int)(uniform(&state) * busy) % busy], due, sent);
      due -= log(uniform(&state)) / per_second;
    }
    turn(FEW, 0);
  }
  for (int i = 0; i < busy; i++) {  // a message without an echo counts with the time of the wait
    End *one = group->ends[i];
    for (int m = one->first; m >= 0; m = load.next[m]) load.due[m] = now - load.due[m];
    one->first = -1;
  }
  qsort(load.due, sent, sizeof *load.due, compare);
  qsort(late, sent, sizeof *late, compare);
  if (!sent) fail("no message was to be sent");
  int p99 = sent * 0.99;
  printf("%d %ld %d %.1f %.1f %.1f %.1f\n", sent, load.done, group->closed - closed, load.due[sent / 2] * 1e6,
         load.due[p99] * 1e6, load.due[sent - 1] * 1e6, late[p99] * 1e6);
  free(late), free(load.due), free(load.next);
  load.due = NULL, load.group = NULL;
}

static int count_ticket(SSL *tls, SSL_SESSION *session) {
  (void)session;
  ((End *)SSL_get_app_data(tls))->group->tickets++;
  return 0;
}

static void say_tls(const Group *group) {
  SSL *tls = group->ends[0]->tls;
  EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(tls));
  printf("%s %s %s %s-%d %s tickets=%.1f\n", SSL_get_version(tls), SSL_get_cipher(tls),
         OBJ_nid2sn(SSL_get_negotiated_group(tls)), EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key),
         SSL_session_reused(tls) ? "resumed" : "full", (double)group->tickets / group->count);
}

static void obey(const char *line) {
  char verb[16];
  int a[5] = {0};
  sscanf(line, "%15s %d %d %d %d %d", verb, a, a + 1, a + 2, a + 3, a + 4);
  Group *group = !strcmp(verb, "listen") || !strcmp(verb, "connect") ? NULL : groups[a[0]];
  if (!strcmp(verb, "listen")) printf("%d\n", listen_somewhere());
  else if (!strcmp(verb, "connect")) printf("%d\n", connect_group(a[0], a[1], a[2], a[3], a[4]));
  else if (!strcmp(verb, "run")) printf("%ld\n", run(group, a[1], a[2]));
  else if (!strcmp(verb, "rate")) rate(group, a[1], a[2], a[3] / 1e3);
  else if (!strcmp(verb, "open")) grow(group, a[1], a[2]), printf("%d\n", a[1]);
  else if (!strcmp(verb, "shut")) printf("%d\n", shut(group));
  else if (!strcmp(verb, "tls")) say_tls(group);
  else if (!strcmp(verb, "end")) {
    printf("%d\n", shrink(group, 0));
    free(group->ends), free(group->burst), free(group);
    groups[a[0]] = NULL;
  } else fail(line);
  fflush(stdout);
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(context, "X25519");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, count_ticket);
  ep = epoll_create1(0);
  new_end(0, COMMANDS);
  setvbuf(stdin, NULL, _IONBF, 0);
  char line[128];
  for (;; commanded = 0) {
    while (!commanded) turn(EVENTS, -1);
    if (!fgets(line, sizeof line, stdin)) return 0;
    obey(line);
  }
}
