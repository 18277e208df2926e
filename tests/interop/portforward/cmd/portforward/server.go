package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/proxy"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/cri-streaming/pkg/streaming/portforward"

	"wsedge/interop/transcript"
)

// serve answers as the API server does: a tunnel to a kubelet, whose WebSocket is translated to SPDY.
func serve() {
	kubelet := httptest.NewServer(http.HandlerFunc(kubelet))
	location, err := url.Parse(kubelet.URL)
	transcript.Fail(err)
	handler := http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		to := *location
		to.Path = request.URL.Path
		seen := &pod{url: request.URL.RequestURI(), headers: transcript.Lower(request.Header)}
		pods.Store(request.URL.Path, seen)
		tunnel := translator.NewTunnelingHandler(proxy.NewUpgradeAwareHandler(&to, nil, false, true, seen))
		tunnel.ServeHTTP(response, request)
		transcript.Say(seen.transcript())
	})
	transcript.Serve(handler)
}

var pods sync.Map

// A pod, and what was forwarded to it.
type pod struct {
	url     string
	headers map[string]string

	lock      sync.Mutex
	forwarded []string
	failed    error
}

func kubelet(response http.ResponseWriter, request *http.Request) {
	found, _ := pods.Load(request.URL.Path)
	options, err := portforward.NewV4Options(request)
	transcript.Fail(err)
	forwarder := found.(portforward.PortForwarder)
	portforward.ServePortForward(
		response, request, forwarder, "web", "1", options, time.Hour, time.Minute,
		portforward.SupportedProtocols,
	)
}

// PortForward is called for each TCP connection.
func (one *pod) PortForward(_ context.Context, _ string, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	if port != echoes {
		one.note(fmt.Sprintf("%d refused", port))
		return fmt.Errorf("nothing listens on port %d", port)
	}
	reader := bufio.NewReader(stream)
	var size int64
	if _, err := fmt.Fscanf(reader, "%d\n", &size); err != nil {
		return err
	}
	copied, err := io.CopyN(stream, reader, size)
	one.note(fmt.Sprintf("%d echoed %d", port, copied))
	return err
}

// Error is called when the tunnel could not be made.
func (one *pod) Error(response http.ResponseWriter, _ *http.Request, err error) {
	one.lock.Lock()
	defer one.lock.Unlock()
	one.failed = err
	http.Error(response, err.Error(), http.StatusInternalServerError)
}

func (one *pod) note(what string) {
	one.lock.Lock()
	defer one.lock.Unlock()
	one.forwarded = append(one.forwarded, what)
}

func (one *pod) transcript() transcript.Object {
	one.lock.Lock()
	defer one.lock.Unlock()
	if one.failed != nil {
		return transcript.Object{"error": one.failed.Error()}
	}
	sort.Strings(one.forwarded)
	return transcript.Object{"url": one.url, "headers": one.headers, "forwarded": one.forwarded}
}
