package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/coder/websocket"
)

type coderConnection struct{ *websocket.Conn }

var coderPack = pack{
	dial: func(url string, config *tls.Config, header http.Header) (connection, http.Header, error) {
		client := &http.Client{Transport: &http.Transport{DialContext: loopback, TLSClientConfig: config}}
		conn, response, err := websocket.Dial(context.Background(), url, &websocket.DialOptions{
			HTTPClient: client, HTTPHeader: header, Subprotocols: subprotocols,
			CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			return nil, nil, err
		}
		conn.SetReadLimit(-1)
		return &coderConnection{conn}, response.Header, nil
	},
	accept: func(response http.ResponseWriter, request *http.Request) (connection, error) {
		response.Header().Set("Set-Cookie", "room=7; Path=/; HttpOnly")
		conn, err := websocket.Accept(response, request, &websocket.AcceptOptions{
			Subprotocols: subprotocols, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			return nil, err
		}
		conn.SetReadLimit(-1)
		return &coderConnection{conn}, nil
	},
}

func (conn *coderConnection) send(one message) error {
	kind := websocket.MessageBinary
	if one.isText {
		kind = websocket.MessageText
	}
	return conn.Write(context.Background(), kind, one.data)
}

func (conn *coderConnection) receive() (message, *closed, error) {
	kind, data, err := conn.Read(context.Background())
	var end websocket.CloseError
	if errors.As(err, &end) {
		return message{}, &closed{int(end.Code), end.Reason}, nil
	}
	return message{kind == websocket.MessageText, data}, nil, err
}

func (conn *coderConnection) close(code int, reason string) error {
	return conn.Close(websocket.StatusCode(code), reason)
}

func (conn *coderConnection) subprotocol() string { return conn.Subprotocol() }
