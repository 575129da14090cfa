//! Echoes every WebSocket message through the hub's own frame reader and writer, so that the Autobahn cases can
//! be run against them: `tidewire-autobahn` prints the address it listens on.
//!
//! One blocking thread a connection: the conformance cases ask what the frames mean, not how many there are.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use tidewire_hub_core::websocket::event::Event;
use tidewire_hub_core::websocket::opcode::Opcode;
use tidewire_hub_core::websocket::reader::{Limits, Reader};
use tidewire_hub_core::websocket::writer::{Header, write_close, write_pong};

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A case that cuts its connection is no fault of ours.
        thread::spawn(move || echo(stream).ok());
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let limits =
        Limits { message_bytes_max: 64 << 20, frame_bytes_max: 64 << 20, frames_per_message_max: 65_536 };
    let mut received = shake_hands(&mut stream)?;
    let mut reader = Reader::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut input = &mut received[..];
        let mut out = Vec::new();
        let ended = loop {
            match reader.next(&mut input, &limits) {
                Ok(Some(Event::Text(text))) => put(Opcode::Text, text.as_bytes(), &mut out),
                Ok(Some(Event::Binary(bytes))) => put(Opcode::Binary, &bytes, &mut out),
                Ok(Some(Event::Ping(payload))) => write_pong(&mut out, &payload),
                Ok(Some(Event::Pong)) => {}
                Ok(Some(Event::Close(words))) => {
                    write_close(&mut out, words.as_ref().map(|(code, reason)| (*code, &**reason)));
                    break true;
                }
                Ok(None) => break false,
                Err(error) => {
                    write_close(&mut out, Some((error.close_code(), "")));
                    break true;
                }
            }
        };
        stream.write_all(&out)?;
        if ended {
            return Ok(());
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        received = buffer[..count].to_vec();
    }
}

fn put(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
    out.extend_from_slice(payload);
}

/// Answers the handshake; what came behind it is handed back.
fn shake_hands(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 || head.len() > 16 << 10 {
            bail!("no handshake came");
        }
        head.extend_from_slice(&buffer[..count]);
    };
    let behind = head.split_off(end);
    let text = String::from_utf8(head)?;
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:"));
    let key = line.and_then(|line| line.split_once(':')).context("the handshake has no key")?.1.trim();
    let accept = BASE64.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    Ok(behind)
}
