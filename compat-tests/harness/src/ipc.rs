// SPDX-License-Identifier: LGPL-2.0-or-later

//! Messages between a suite and its test hosts: values of serde types, one JSON text per line, over
//! a socket or a pair of pipes.
#![forbid(unsafe_code)]

use crate::{Doing, Result, Trouble};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// One end of a connection.
pub struct Channel {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Box<dyn Write + Send>,
    /// What to wait for, when the connection is a socket.
    socket: Option<UnixStream>,
}

impl Channel {
    /// The end of a socket.
    ///
    /// # Errors
    /// When its descriptor cannot be duplicated.
    pub fn of(socket: UnixStream) -> Result<Channel> {
        let reader = socket.try_clone().doing("duplicating a socket")?;
        let writer = socket.try_clone().doing("duplicating a socket")?;
        Ok(Channel {
            reader: BufReader::new(Box::new(reader)),
            writer: Box::new(writer),
            socket: Some(socket),
        })
    }

    /// Messages that are read from one file and written to another.
    pub fn between(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> Channel {
        Channel {
            reader: BufReader::new(Box::new(reader)),
            writer: Box::new(writer),
            socket: None,
        }
    }

    /// The end of a test host: standard input when that is a socket; otherwise standard input and
    /// standard output, so that a shell script can send messages through a pipe.
    ///
    /// # Errors
    /// When standard input cannot be duplicated.
    pub fn of_host() -> Result<Channel> {
        let stdin = io::stdin();
        let is_socket = nix::sys::socket::getsockname::<nix::sys::socket::UnixAddr>(
            std::os::fd::AsRawFd::as_raw_fd(&stdin),
        )
        .is_ok();
        if !is_socket {
            return Ok(Channel::between(stdin, io::stdout()));
        }
        let copy: OwnedFd = stdin
            .as_fd()
            .try_clone_to_owned()
            .doing("duplicating standard input")?;
        Channel::of(UnixStream::from(copy))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the other end is closed.
    pub fn send<M: Serialize>(&mut self, message: &M) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.writer.write_all(&line)?;
        self.writer.flush()
    }

    /// The next message; `None` when the other end is closed.
    ///
    /// # Errors
    /// `InvalidData` for a line that is no such message, `WouldBlock` when the socket's time limit
    /// has passed, and what else reading returns.
    pub fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        match read {
            Ok(0) => Ok(None),
            // A process that ends with unread messages resets its connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
            Ok(_) => match serde_json::from_str(&line) {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("{error}: {}", line.trim_end()),
                )),
            },
        }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// When the other end is closed, or its reply has another type.
    pub fn request<M: Serialize, R: DeserializeOwned>(&mut self, message: &M) -> Result<R> {
        self.send(message).doing("sending a message")?;
        self.receive()
            .doing("waiting for a reply")?
            .ok_or_else(|| Trouble::Broken("the other end of the connection is closed".to_owned()))
    }

    /// The socket, if the connection is one.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Message {
        Text(String),
        Numbers { a: u64, b: Option<i32> },
        Done,
    }

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Channel::of(one).unwrap(), Channel::of(other).unwrap());
        for message in [
            Message::Text("two\nlines\t\"quoted\"".to_owned()),
            Message::Numbers {
                a: u64::MAX,
                b: None,
            },
            Message::Done,
        ] {
            one.send(&message).unwrap();
            assert_eq!(other.receive::<Message>().unwrap(), Some(message));
        }
        drop(one);
        assert_eq!(other.receive::<Message>().unwrap(), None);
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "Nothing\n", "{\"Text\":3}\n", "\"Done\" 1\n"] {
            let mut channel = Channel::between(line.as_bytes(), io::sink());
            let result = channel.receive::<Message>();
            assert!(matches!(result, Err(_) | Ok(None)), "{line:?}: {result:?}");
        }
    }
}
