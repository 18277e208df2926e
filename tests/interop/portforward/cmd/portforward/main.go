// kubectl port-forward over WebSocket: client-go's port forwarder, and the code by which a kubelet answers it.
// The WebSocket carries SPDY; its subprotocol is SPDY/3.1+portforward.k8s.io.
//
//	portforward client       reads URLs, one a line; answers each with the client's transcript
//	portforward server       prints its ports, and then the transcript of each connection that has ended
//
// Environment: TLS_AUTHORITY (client), TLS_CERTIFICATE and TLS_KEY (server).
package main

import "os"

func main() {
	if os.Args[1] == "server" {
		serve()
	} else {
		dial()
	}
}
