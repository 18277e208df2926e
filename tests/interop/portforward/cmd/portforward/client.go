package main

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"

	"wsedge/interop/transcript"
)

const path = "/api/v1/namespaces/default/pods/web/portforward"

// The ports of the pod: the first echoes, the second is closed.
const (
	echoes  = 80
	refuses = 81
)

func dial() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: loopback}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer := transcript.Object{}
		for _, have := range []struct {
			name string
			talk func(port uint16, ended <-chan error) (any, error)
			port int
		}{{"echoed", echoAll, echoes}, {"refused", askNobody, refuses}} {
			seen, err := forward(lines.Text(), have.port, have.talk)
			if err != nil {
				answer = transcript.Object{"error": err.Error()}
				break
			}
			answer[have.name] = seen
		}
		transcript.Say(answer)
	}
}

// forward makes one WebSocket connection, through which TCP connections to a port of the pod pass.
func forward(base string, remote int, talk func(uint16, <-chan error) (any, error)) (any, error) {
	address, err := url.Parse(strings.Replace(base, "ws", "http", 1) + path)
	if err != nil {
		return nil, err
	}
	config := &rest.Config{Host: address.Host, BearerToken: "a token"}
	if address.Scheme == "https" {
		config.TLSClientConfig = rest.TLSClientConfig{CAFile: os.Getenv("TLS_AUTHORITY")}
	}
	dialer, err := portforward.NewSPDYOverWebsocketDialer(address, config)
	if err != nil {
		return nil, err
	}
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ports := []string{fmt.Sprintf("0:%d", remote)}
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, ports, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return nil, err
	case <-ready:
	}
	forwarded, err := forwarder.GetPorts()
	if err != nil {
		return nil, err
	}
	seen, err := talk(forwarded[0].Local, ended)
	close(stop)
	return seen, err
}

// askNobody connects to a closed port of the pod, at which client-go ends the WebSocket connection.
func askNobody(port uint16, ended <-chan error) (any, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return (<-ended).Error(), nil
}

// echoAll has connections of several sizes at once, and returns the size and the CRC-32 of each answer.
func echoAll(port uint16, _ <-chan error) (any, error) {
	sizes := []int{0, 1, 5000, 300_000, 2_000_000}
	echoed, failures := make([][]uint32, len(sizes)), make([]error, len(sizes))
	var all sync.WaitGroup
	for at, size := range sizes {
		all.Go(func() {
			answer, err := converse(port, bytes.Repeat([]byte("forwarded "), size)[:size])
			echoed[at], failures[at] = []uint32{uint32(len(answer)), crc32.ChecksumIEEE(answer)}, err
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return echoed, nil
}

// converse sends bytes and reads until the other end closes, which it does once it has returned as many.
func converse(port uint16, sent []byte) ([]byte, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	go func() {
		fmt.Fprintf(conn, "%d\n", len(sent))
		conn.Write(sent)
	}()
	return io.ReadAll(conn)
}
