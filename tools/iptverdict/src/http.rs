// SPDX-License-Identifier: GPL-2.0

//! A small HTTP server, which answers one request of each client. It never waits for a client: any
//! number of silent ones keep it from answering others for a few seconds only.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// So many clients are served at a time; others wait.
const CLIENTS: usize = 64;
/// For so long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long a request may be, in bytes.
const REQUEST: usize = 8192;

pub struct Response {
    /// The status with its reason, as `200 OK`.
    pub status: &'static str,
    pub content_type: &'static str,
    pub body: String,
}

struct Client {
    stream: TcpStream,
    since: Instant,
    request: Vec<u8>,
}

impl Client {
    /// Reads what there is of the request. Returns whether it is complete.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.request.extend(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
            if self.request.len() > REQUEST {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        if self.request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            return Ok(true);
        }
        if self.since.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(false)
    }

    fn write(&mut self, answer: impl Fn(&str, &str) -> Response) -> io::Result<()> {
        let request = String::from_utf8_lossy(&self.request);
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let Response {
            status,
            content_type,
            body,
        } = answer(method, path);
        let mut text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        if method != "HEAD" {
            text += &body;
        }
        // It fits into the buffer of the socket. Whoever does not take it gets no more.
        self.stream.write_all(text.as_bytes())
    }
}

pub struct Server {
    listener: TcpListener,
    clients: Vec<Client>,
}

impl Server {
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            clients: Vec::new(),
        })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept(&self) -> io::Result<Client> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok(Client {
            stream,
            since: Instant::now(),
            request: Vec::new(),
        })
    }

    /// Answers the requests that have arrived: `answer` gets the method and the path. Returns after
    /// which time to call it again.
    pub fn serve(&mut self, answer: impl Fn(&str, &str) -> Response) -> Duration {
        // What fails now, as this process may open no more files, say, is tried again.
        while self.clients.len() < CLIENTS {
            match self.accept() {
                Ok(client) => self.clients.push(client),
                Err(_) => break,
            }
        }
        self.clients.retain_mut(|client| match client.read() {
            Ok(false) => true,
            Ok(true) => {
                // It may be gone.
                let _ = client.write(&answer);
                false
            }
            Err(_) => false,
        });
        Duration::from_millis(if self.clients.is_empty() { 100 } else { 10 })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Serves a request in pieces, and returns the answer.
    fn answer_to(pieces: &[&str]) -> String {
        let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(server.address().unwrap()).unwrap();
        for piece in pieces {
            client.write_all(piece.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(50));
            server.serve(|method, path| Response {
                status: "200 OK",
                content_type: "text/plain",
                body: format!("{method} {path}"),
            });
        }
        drop(server);
        let mut answer = String::new();
        // A closed connection may be an error.
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn a_request_in_pieces() {
        assert_eq!(
            answer_to(&["GET /met", "rics HTTP/1.1\r\nHost: x\r\n", "\r\n"]),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nGET /metrics"
        );
    }

    #[test]
    fn head_has_no_body() {
        let answer = answer_to(&["HEAD / HTTP/1.0\r\n\r\n"]);
        assert!(answer.ends_with("Content-Length: 6\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn long_or_incomplete_requests_get_no_answer() {
        assert_eq!(answer_to(&["GET /", &"x".repeat(REQUEST)]), "");
        assert_eq!(answer_to(&["GET / HTTP/1.0\r\n"]), "");
    }
}
