// http2reader opens a WebSocket over HTTP/2 (RFC 8441) by Go's own client and reads TOTAL bytes, SIZE at a time.
//
//	http2reader ADDRESS DOMAIN SIZE TOTAL
//
// It exits with 1 and the reason when the connection ends before.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/net/http2"
)

func main() {
	address, domain := os.Args[1], os.Args[2]
	size, _ := strconv.Atoi(os.Args[3])
	total, _ := strconv.Atoi(os.Args[4])
	if err := read(address, domain, make([]byte, size), total); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func read(address, domain string, buffer []byte, total int) error {
	transport := &http2.Transport{
		DialTLS: func(_, _ string, config *tls.Config) (net.Conn, error) {
			config = config.Clone()
			config.InsecureSkipVerify, config.ServerName = true, domain
			return tls.Dial("tcp", address, config)
		},
	}
	body, _ := io.Pipe()
	request, err := http.NewRequest("CONNECT", "https://"+domain+"/", body)
	if err != nil {
		return err
	}
	request.Header.Set(":protocol", "websocket")
	request.Header.Set("sec-websocket-version", "13")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	for got := 0; got < total; {
		count, err := answer.Body.Read(buffer)
		if got += count; err != nil {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
	}
	return nil
}
