//! The lines of the standard input, each to be a message.

use std::io::{BufRead as _, BufReader};
use std::thread;

use tidewire_client::Payload;
use tokio::sync::mpsc;

use crate::command::content::Kind;
use crate::command::failure::Failure;

/// The lines, in order.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    content: Kind,
    /// How many were given out.
    number: u64,
}

impl Lines {
    /// Reads on a thread of its own, since that blocks. The thread ends with the process.
    pub(crate) fn read(content: Kind) -> Self {
        let (give, lines) = mpsc::channel(LINES_AHEAD);
        thread::spawn(move || {
            let mut input = BufReader::with_capacity(INPUT_BYTES, std::io::stdin().lock());
            loop {
                let mut line = Vec::new();
                let result = input.read_until(b'\n', &mut line);
                let end = matches!(result, Ok(0) | Err(_));
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                let line = match result {
                    Ok(0) => return,
                    Ok(_) => Ok(line),
                    Err(error) => Err(error),
                };
                if give.blocking_send(line).is_err() || end {
                    return;
                }
            }
        });
        Self { lines, content, number: 0 }
    }

    /// The next line as a message.
    pub(crate) async fn next(&mut self) -> Option<Result<Payload, Failure>> {
        let line = self.lines.recv().await?;
        self.number += 1;
        let number = self.number;
        Some(match line {
            Ok(line) => self.content.payload(line).map_err(|failure| failure.of(&format!("line {number}"))),
            Err(error) => Err(Failure::Unreadable(format!("cannot read the standard input: {error}"))),
        })
    }

    /// The number of the line given out last.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

/// So many lines, as they are told: "no line", "1 line", "2 lines".
pub(crate) fn counted(count: u64) -> String {
    match count {
        0 => "no line".into(),
        1 => "1 line".into(),
        _ => format!("{count} lines"),
    }
}

/// Lines read and not yet taken.
const LINES_AHEAD: usize = 4_096;
const INPUT_BYTES: usize = 64 << 10;
