package main

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

type gorillaConnection struct{ *websocket.Conn }

var gorillaPack = pack{
	dial: func(url string, config *tls.Config, header http.Header) (connection, http.Header, error) {
		dialer := websocket.Dialer{
			Subprotocols: subprotocols, EnableCompression: true, NetDialContext: loopback, TLSClientConfig: config,
		}
		conn, response, err := dialer.Dial(url, header)
		if err != nil {
			return nil, nil, err
		}
		return gorillaConnection{conn}, response.Header, nil
	},
	accept: func(response http.ResponseWriter, request *http.Request) (connection, error) {
		upgrader := websocket.Upgrader{Subprotocols: subprotocols, EnableCompression: true}
		conn, err := upgrader.Upgrade(response, request, http.Header{"Set-Cookie": {"room=7; Path=/; HttpOnly"}})
		return gorillaConnection{conn}, err
	},
}

func (conn gorillaConnection) send(one message) error {
	kind := websocket.BinaryMessage
	if one.isText {
		kind = websocket.TextMessage
	}
	return conn.WriteMessage(kind, one.data)
}

func (conn gorillaConnection) receive() (message, *closed, error) {
	kind, data, err := conn.ReadMessage()
	if end, ok := err.(*websocket.CloseError); ok {
		conn.Conn.Close()
		return message{}, &closed{end.Code, end.Text}, nil
	}
	return message{kind == websocket.TextMessage, data}, nil, err
}

func (conn gorillaConnection) close(code int, reason string) error {
	body := websocket.FormatCloseMessage(code, reason)
	return conn.WriteControl(websocket.CloseMessage, body, time.Now().Add(10*time.Second))
}

func (conn gorillaConnection) subprotocol() string { return conn.Subprotocol() }
