//! From an address to a WebSocket, or to the reason why there is none.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use tidewire_protocol::SUBPROTOCOL_BINARY;

use crate::address::Address;
use crate::status::NoConnection;
use crate::tls;

/// What HTTP is spoken on: TCP, or TLS over it.
pub(crate) type Stream = Box<dyn Bytes>;

/// Bytes in and out.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Whoever listens there answered otherwise; [`explain`] reads what is left of the answer.
    Answered(Box<Response>),
    /// Whoever listens there speaks another protocol, and will the next time too.
    Stranger(NoConnection),
    /// It broke.
    Broken(NoConnection),
}

/// Connects by TCP. The client's own deadline ends what takes too long.
pub(crate) async fn connect(address: &Address) -> Result<TcpStream, NoConnection> {
    let Address { host, port, .. } = address;
    let unreachable = |error: &std::io::Error| match error.kind() {
        ErrorKind::ConnectionRefused => NoConnection::ConnectionRefused { address: address.to_string() },
        _ => NoConnection::Unreachable { address: address.to_string(), error: error.to_string() },
    };
    let not_resolved = |error: String| NoConnection::NameNotResolved { host: host.clone(), error };
    let found = lookup_host((host.as_str(), *port)).await.map_err(|error| not_resolved(error.to_string()))?;
    let mut found = found.peekable();
    let mut failed = not_resolved("it has no address".into());
    while let Some(place) = found.next() {
        let connecting = TcpStream::connect(place);
        // One that does not answer leaves time for those behind it.
        let connected = match found.peek() {
            Some(_) => timeout(CONNECT_TIME_MAX, connecting).await.unwrap_or_else(|late| Err(late.into())),
            None => connecting.await,
        };
        match connected {
            Ok(stream) => {
                // Messages are gathered before they are written; the kernel would only hold them back.
                stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
                return Ok(stream);
            }
            Err(error) => failed = unreachable(&error),
        }
    }
    Err(failed)
}

/// Speaks TLS from here on where the address asks for it.
pub(crate) async fn secure(address: &Address, stream: TcpStream) -> Result<Stream, NoConnection> {
    match &address.tls {
        Some(name) => Ok(Box::new(tls::secure(address, name.clone(), stream).await?)),
        None => Ok(Box::new(stream)),
    }
}

/// Makes a WebSocket of a connection.
pub(crate) async fn upgrade<'a>(
    address: &Address,
    stream: &'a mut Stream,
) -> Result<WebSocketStream<&'a mut Stream>, Failed> {
    let request = ClientRequestBuilder::new(address.uri.clone()).with_sub_protocol(SUBPROTOCOL_BINARY);
    // The hub sends a message of any size that it takes in one frame.
    let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
    let place = address.to_string();
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(Failed::Answered(answer)),
        Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
            let error = "it does not speak the subprotocol tidewire.v1".into();
            Err(Failed::Stranger(NoConnection::NoHub { address: place, error }))
        }
        Err(Error::Io(error)) => {
            Err(Failed::Broken(NoConnection::Unreachable { address: place, error: error.to_string() }))
        }
        Err(Error::Protocol(ProtocolError::HandshakeIncomplete)) => {
            let error = "the connection was closed before an answer came".into();
            Err(Failed::Broken(NoConnection::Unreachable { address: place, error }))
        }
        Err(error) => Err(Failed::Broken(NoConnection::NoHub { address: place, error: error.to_string() })),
    }
}

/// Reads what an answer other than a WebSocket says.
pub(crate) async fn explain(answer: Response, stream: &mut Stream) -> NoConnection {
    let (head, body) = answer.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name| header(name).and_then(|value| value.trim().parse::<u64>().ok());
    // A page for people in a browser tells a program nothing.
    let is_text = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/plain"));
    let mut text = String::new();
    if is_text {
        let len = number(CONTENT_LENGTH).map_or(0, |len| len.min(ANSWER_BYTES_MAX));
        let mut body = body.unwrap_or_default();
        let missing = len.saturating_sub(body.len() as u64);
        // What has come until then has to do.
        let _ = timeout(ANSWER_TIME_MAX, stream.take(missing).read_to_end(&mut body)).await;
        text = first_line(&body);
    }
    let retry_after = number(RETRY_AFTER).map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)));
    NoConnection::Refused { status: head.status.as_u16(), text, retry_after }
}

/// What a stranger says, made fit for a terminal.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(ANSWER_CHARS_MAX).collect()
}

/// What connecting may take while there is another address.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of an answer that are waited for.
const ANSWER_BYTES_MAX: u64 = 4 << 10;
/// Characters of it that are told.
const ANSWER_CHARS_MAX: usize = 300;
/// Seconds, a year: clocks overflow by more.
const RETRY_AFTER_MAX: u64 = 365 * 86_400;
/// What reading it may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
