// Package transcript is how the programs in Go of this folder speak with their tests: a JSON value a line.
package transcript

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// Object is a JSON object.
type Object = map[string]any

var out = make(chan struct{}, 1)

// Say writes a line, which is a JSON value; any goroutine may call it.
func Say(answer any) {
	line, err := json.Marshal(answer)
	Fail(err)
	out <- struct{}{} // one line at a time
	os.Stdout.Write(append(line, '\n'))
	<-out
}

// Fail ends the program if there is an error.
func Fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Lower returns a header with names in lower case and one value for each.
func Lower(header http.Header) map[string]string {
	made := map[string]string{}
	for name, values := range header {
		made[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return made
}

// Serve has a handler answer on a port for ws and one for wss, which it says, until the test closes the input.
//
// Environment: TLS_CERTIFICATE and TLS_KEY.
func Serve(handler http.Handler) {
	ports := map[string]int{}
	for _, scheme := range []string{"ws", "wss"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		Fail(err)
		ports[scheme] = listener.Addr().(*net.TCPAddr).Port
		server := &http.Server{Handler: handler}
		if scheme == "ws" {
			go server.Serve(listener)
		} else {
			go server.ServeTLS(listener, os.Getenv("TLS_CERTIFICATE"), os.Getenv("TLS_KEY"))
		}
	}
	Say(ports)
	bufio.NewReader(os.Stdin).ReadByte()
}
