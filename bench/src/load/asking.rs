//! Publishing by HTTP: connections that are kept, each with one request under way at a time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::histogram::Histogram;

/// Some connections, and what they have seen.
#[derive(Debug)]
pub struct Askers {
    poll: Poll,
    request: Vec<u8>,
    list: Vec<Asker>,
    /// Requests that were answered with 200.
    pub answered: u64,
    /// From a request to its answer, since somebody cleared it.
    pub took: Histogram,
}

#[derive(Debug)]
struct Asker {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
    unsent: usize,
}

impl Askers {
    /// So many connections, which publish to `path` payloads of so many bytes.
    ///
    /// # Errors
    /// If one cannot connect.
    pub fn connect(address: SocketAddr, path: &str, payload_bytes: usize, count: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
             content-length: {payload_bytes}\r\n\r\n"
        );
        let request = [head.as_bytes(), &vec![b'x'; payload_bytes]].concat();
        let mut list = Vec::with_capacity(count);
        for index in 0..count {
            let stream = std::net::TcpStream::connect(address).context("cannot connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interest)?;
            let unsent = request.len();
            list.push(Asker { stream, answer: Vec::new(), asked: Instant::now(), unsent });
        }
        Ok(Self { poll, request, list, answered: 0, took: Histogram::default() })
    }

    /// Asks for so long.
    ///
    /// # Errors
    /// If an answer is none, or says that it did not work.
    pub fn run(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        let mut events = Events::with_capacity(256);
        // A socket that was ready before says nothing more.
        (0..self.list.len()).try_for_each(|index| self.go_on(index))?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.poll.poll(&mut events, Some(left))?;
            for event in &events {
                self.go_on(event.token().0)?;
            }
        }
    }

    /// Sends and reads as much as goes.
    fn go_on(&mut self, index: usize) -> Result<()> {
        let Self { request, list, answered, took, .. } = self;
        let asker = &mut list[index];
        loop {
            if asker.unsent > 0 {
                match asker.stream.write(&request[request.len() - asker.unsent..]) {
                    Ok(count) => asker.unsent -= count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            let mut buffer = [0; 4_096];
            match asker.stream.read(&mut buffer) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(count) => asker.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if is_whole(&asker.answer)? {
                took.record(asker.asked.elapsed().as_nanos() as u64);
                *answered += 1;
                asker.answer.clear();
                (asker.asked, asker.unsent) = (Instant::now(), request.len());
            }
        }
    }
}

/// Whether an answer has come whole; it must be a good one.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(&answer[..head])?;
    ensure!(text.starts_with("HTTP/1.1 200"), "the server says {text:?}");
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.context("an answer does not say how long it is")?;
    Ok(answer.len() >= head + 4 + length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_whole_when_all_of_it_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert!((0..answer.len()).all(|end| !is_whole(&answer[..end]).unwrap()));
        assert!(is_whole(answer).unwrap());
        assert!(is_whole(b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
