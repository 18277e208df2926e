// The crate tungstenite, as client and as server of the conversations in tests/clients/conversation.mjs.
//
//     peers client       reads URLs, one a line; answers each with the client's transcript
//     peers server       prints its ports, and then the transcript of each connection that has ended
//
// Environment: TLS_AUTHORITY (client), TLS_CERTIFICATE and TLS_KEY (server).

mod tls;

use serde_json::{json, Map, Value};
use std::io::{stdin, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, process, thread};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::{HeaderMap, HeaderValue};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

const SUBPROTOCOLS: [&str; 2] = ["chat.v2", "chat.v1"];

/// A connection, over TLS or not.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn messages() -> Vec<Message> {
    vec![
        Message::text("hello"),
        Message::text(""),
        Message::text("héllo wörld ☃ 𝄞"),
        Message::binary((0..=255).collect::<Vec<u8>>()),
        Message::text("a message that deflates well. ".repeat(7000)),
        Message::binary(noise(100_000)),
    ]
}

/// Returns bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1103515245).wrapping_add(12345) & 0x7fffffff;
            (state >> 16) as u8
        })
        .collect()
}

/// Returns type, bytes and CRC-32 of a message.
fn described(message: &Message) -> Value {
    let kind = if message.is_text() { "text" } else { "binary" };
    json!([kind, message.len(), crc32fast::hash(&message.clone().into_data())])
}

fn lower(headers: &HeaderMap) -> Value {
    let mut made = Map::new();
    for (name, value) in headers {
        made.insert(name.to_string(), json!(value.to_str().unwrap_or("")));
    }
    Value::Object(made)
}

fn closed(frame: Option<CloseFrame>) -> Value {
    match frame {
        Some(one) => json!([u16::from(one.code), one.reason.as_str()]),
        None => json!([1005, ""]),
    }
}

fn frame(code: u16, reason: &str) -> Option<CloseFrame> {
    Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() })
}

/// Reads to the end of the connection; returns the other end's Close.
fn until_closed(socket: &mut WebSocket<Box<dyn Stream>>) -> Result<Value, Error> {
    let mut seen = Value::Null;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => seen = closed(frame),
            Ok(other) => seen = json!(["a message behind the Close", other.len()]),
            Err(Error::ConnectionClosed) => return Ok(seen),
            Err(error) => return Err(error),
        }
    }
}

fn converse(url: &str, who: &str) -> Result<Value, Error> {
    let mut request = format!("{url}/room?x=1&y=%20").into_client_request()?;
    let port = request.uri().port_u16().expect("the URL has a port");
    let headers = request.headers_mut();
    headers.insert("cookie", HeaderValue::from_static("session=abc; theme=dark"));
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("chat.v2, chat.v1"));
    let host = request.uri().host().expect("the URL has a host").to_owned();
    let secure = request.uri().scheme_str() == Some("wss");
    let plain = TcpStream::connect(("127.0.0.1", port))?;
    let stream: Box<dyn Stream> = if secure { Box::new(tls::client(&host, plain)) } else { Box::new(plain) };
    let (mut socket, response) = match tungstenite::client(request, stream) {
        Ok(both) => both,
        Err(error) => return Err(Error::Io(std::io::Error::other(error.to_string()))),
    };
    let mut heard = vec![];
    for message in messages() {
        socket.send(message)?;
        heard.push(described(&socket.read()?));
    }
    if who == "client" {
        socket.close(frame(4001, "the client is done ✓"))?;
    } else {
        socket.send(Message::text("close"))?;
    }
    let close = until_closed(&mut socket)?;
    let subprotocol = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap_or(""));
    Ok(json!({"messages": heard, "subprotocol": subprotocol, "close": close, "answer": lower(response.headers())}))
}

fn client() {
    for line in stdin().lock().lines() {
        let url = line.expect("stdin is UTF-8");
        let mut answer = Map::new();
        for who in ["client", "server"] {
            match converse(&url, who) {
                Ok(transcript) => answer.insert(who.into(), transcript),
                Err(error) => answer.insert("error".into(), json!(error.to_string())),
            };
        }
        println!("{}", Value::Object(answer));
    }
}

fn serve(stream: Box<dyn Stream>) -> Result<Value, Error> {
    let mut facts = json!({});
    let callback = |request: &Request, mut response: Response| {
        let offered = request.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap_or(""));
        let chosen = SUBPROTOCOLS.iter().find(|one| offered.unwrap_or("").split(", ").any(|name| name == **one));
        facts = json!({"url": request.uri().to_string(), "headers": lower(request.headers()), "subprotocol": chosen});
        let headers = response.headers_mut();
        if let Some(name) = chosen {
            headers.insert("sec-websocket-protocol", HeaderValue::from_static(name));
        }
        headers.insert("set-cookie", HeaderValue::from_static("room=7; Path=/; HttpOnly"));
        Ok(response)
    };
    let config = Some(WebSocketConfig::default());
    let mut socket = match tungstenite::accept_hdr_with_config(stream, callback, config) {
        Ok(socket) => socket,
        Err(error) => return Ok(json!({"error": error.to_string()})),
    };
    let mut heard = vec![];
    loop {
        match socket.read()? {
            Message::Close(frame) => {
                facts["close"] = closed(frame);
                let end = socket.read(); // sends the answer
                debug_assert!(end.is_err());
                break;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            message => {
                heard.push(described(&message));
                if message.is_text() && message.to_text()? == "close" {
                    socket.close(frame(4002, "the server is done ✓"))?;
                    facts["close"] = until_closed(&mut socket)?;
                    break;
                }
                socket.send(message)?;
            }
        }
    }
    facts["messages"] = json!(heard);
    Ok(facts)
}

fn accept(listener: TcpListener, secured: impl Fn(TcpStream) -> Box<dyn Stream>) {
    for stream in listener.incoming().flatten() {
        let stream = secured(stream);
        thread::spawn(move || {
            let line = serve(stream).unwrap_or_else(|error| json!({"error": error.to_string()}));
            println!("{line}");
        });
    }
}

fn main() {
    if env::args().nth(1).as_deref() == Some("client") {
        return client();
    }
    let plain = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let secure = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    println!("{}", json!({"ws": port(&plain), "wss": port(&secure)}));
    let server = tls::Server::from_files();
    thread::spawn(move || accept(plain, |stream| Box::new(stream)));
    thread::spawn(move || accept(secure, move |stream| Box::new(server.accept(stream))));
    stdin().read_to_end(&mut vec![]).expect("stdin"); // until the test closes it
    process::exit(0);
}
