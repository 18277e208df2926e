// The WebSocket packages gorilla and coder, as clients and as servers of the conversations in
// tests/clients/conversation.mjs.
//
//	interop client PACKAGE         reads URLs, one a line; answers each with the client's transcript
//	interop server PACKAGE         prints its ports, and then the transcript of each connection that has ended
//
// Environment: TLS_AUTHORITY (client), TLS_CERTIFICATE and TLS_KEY (server).
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"os"

	"wsedge/interop/transcript"
)

var subprotocols = []string{"chat.v2", "chat.v1"}

type message struct {
	isText bool
	data   []byte
}

func messages() []message {
	all := make([]byte, 256)
	for place := range all {
		all[place] = byte(place)
	}
	return []message{
		{true, []byte("hello")},
		{true, nil},
		{true, []byte("héllo wörld ☃ 𝄞")},
		{false, all},
		{true, bytes.Repeat([]byte("a message that deflates well. "), 7000)},
		{false, noise(100_000)},
	}
}

// noise returns bytes that do not compress.
func noise(length int) []byte {
	state, made := uint32(1), make([]byte, length)
	for place := range made {
		state = (state*1103515245 + 12345) & 0x7fffffff
		made[place] = byte(state >> 16)
	}
	return made
}

// described returns type, bytes and CRC-32 of a message.
func described(one message) []any {
	kind := "binary"
	if one.isText {
		kind = "text"
	}
	return []any{kind, len(one.data), crc32.ChecksumIEEE(one.data)}
}

// A connection of either package, on either side.
type connection interface {
	send(message) error
	// receive returns a message, or the code and the reason of a Close, or an error.
	receive() (message, *closed, error)
	close(code int, reason string) error
	subprotocol() string
}

type closed struct {
	code   int
	reason string
}

type pack struct {
	dial   func(url string, tls *tls.Config, header http.Header) (connection, http.Header, error)
	accept func(http.ResponseWriter, *http.Request) (connection, error)
}

var packs = map[string]pack{"gorilla": gorillaPack, "coder": coderPack}

func main() {
	one, ok := packs[os.Args[2]]
	if !ok {
		transcript.Fail(fmt.Errorf("no package %q", os.Args[2]))
	}
	if os.Args[1] == "server" {
		serve(one)
		return
	}
	trust := x509.NewCertPool()
	authority, err := os.ReadFile(os.Getenv("TLS_AUTHORITY"))
	transcript.Fail(err)
	trust.AppendCertsFromPEM(authority)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer := transcript.Object{}
		for _, who := range []string{"client", "server"} {
			heard, err := converse(one, lines.Text()+"/room?x=1&y=%20", trust, who)
			if err != nil {
				answer = transcript.Object{"error": err.Error()}
				break
			}
			answer[who] = heard
		}
		transcript.Say(answer)
	}
}

// converse has one conversation, which `who` closes.
func converse(one pack, url string, trust *x509.CertPool, who string) (transcript.Object, error) {
	header := http.Header{"Cookie": {"session=abc; theme=dark"}}
	conn, answer, err := one.dial(url, &tls.Config{RootCAs: trust}, header)
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		for _, one := range messages() {
			if err := conn.send(one); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	heard := [][]any{}
	for range messages() {
		one, end, err := conn.receive()
		if err != nil || end != nil {
			return nil, fmt.Errorf("closed early: %v %v", end, err)
		}
		heard = append(heard, described(one))
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	var close *closed
	if who == "client" {
		close, err = closeBy(conn, 4001, "the client is done ✓")
	} else if err = conn.send(message{true, []byte("close")}); err == nil {
		_, close, err = conn.receive()
	}
	if err != nil {
		return nil, err
	}
	return transcript.Object{
		"messages":    heard,
		"subprotocol": conn.subprotocol(),
		"close":       []any{close.code, close.reason},
		"answer":      transcript.Lower(answer),
	}, nil
}

// closeBy closes and returns the other end's Close, or this one where the package keeps the other to itself.
func closeBy(conn connection, code int, reason string) (*closed, error) {
	if err := conn.close(code, reason); err != nil {
		return nil, err
	}
	if _, ok := conn.(*coderConnection); ok {
		return &closed{code, reason}, nil
	}
	_, end, err := conn.receive()
	if err == nil && end == nil {
		err = fmt.Errorf("a message behind the Close")
	}
	return end, err
}

func serve(one pack) {
	handler := http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		conn, err := one.accept(response, request)
		if err != nil {
			transcript.Say(transcript.Object{"error": err.Error()})
			return
		}
		heard := [][]any{}
		for {
			one, end, err := conn.receive()
			if err != nil {
				transcript.Say(transcript.Object{"error": err.Error(), "messages": heard})
				return
			}
			if end != nil {
				transcript.Say(transcript.Object{
					"url": request.URL.RequestURI(), "headers": transcript.Lower(request.Header),
					"subprotocol": conn.subprotocol(), "messages": heard, "close": []any{end.code, end.reason},
				})
				return
			}
			heard = append(heard, described(one))
			if one.isText && string(one.data) == "close" {
				end, err := closeBy(conn, 4002, "the server is done ✓")
				if err != nil {
					transcript.Say(transcript.Object{"error": err.Error()})
				} else {
					transcript.Say(transcript.Object{
						"url": request.URL.RequestURI(), "headers": transcript.Lower(request.Header),
						"subprotocol": conn.subprotocol(), "messages": heard, "close": []any{end.code, end.reason},
					})
				}
				return
			}
			if err := conn.send(one); err != nil {
				transcript.Say(transcript.Object{"error": err.Error()})
				return
			}
		}
	})
	transcript.Serve(handler)
}

// loopback dials this machine, whatever the name is.
func loopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}
