// SPDX-License-Identifier: GPL-2.0

//! A small HTTP server, which answers one request of each client. It never waits for a client, and
//! if many are silent, it drops the oldest.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// So many clients are served at a time.
const CLIENTS: usize = 64;
/// So long a client may take to send its request, and to take the answer.
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
    /// Empty until the request is complete.
    answer: Vec<u8>,
    sent: usize,
}

impl Client {
    /// Reads what there is of the request. Returns whether it is complete.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        let mut ended = false;
        while !ended && self.request.len() <= REQUEST {
            match self.stream.read(&mut bytes) {
                Ok(0) => ended = true,
                Ok(length) => self.request.extend(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        if self.request.len() > REQUEST {
            return Err(ErrorKind::InvalidData.into());
        }
        let complete = self.request.windows(4).any(|bytes| bytes == b"\r\n\r\n");
        if ended && !complete {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(complete)
    }

    fn answer(&mut self, answer: impl Fn(&str, &str) -> Response) {
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
        self.answer = text.into();
        self.since = Instant::now();
    }

    /// Goes on as far as it can without waiting. Returns whether there is more to do.
    fn proceed(&mut self, answer: impl Fn(&str, &str) -> Response) -> io::Result<bool> {
        if self.since.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.answer.is_empty() {
            if !self.read()? {
                return Ok(true);
            }
            self.answer(answer);
        }
        while self.sent < self.answer.len() {
            match self.stream.write(&self.answer[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
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
            answer: Vec::new(),
            sent: 0,
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
        // What goes wrong with a client is its own affair.
        self.clients
            .retain_mut(|client| client.proceed(&answer).unwrap_or(false));
        if self.clients.len() == CLIENTS {
            self.clients.drain(..CLIENTS / 2);
        }
        Duration::from_millis(if self.clients.is_empty() { 100 } else { 10 })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Shutdown, thread};

    use super::*;

    fn server() -> (Server, TcpStream) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(server.address().unwrap()).unwrap();
        (server, client)
    }

    fn echo(method: &str, path: &str) -> Response {
        Response {
            status: "200 OK",
            content_type: "text/plain",
            body: format!("{method} {path}"),
        }
    }

    /// Serves a request in pieces, which the client ends if it is complete. Returns the answer.
    fn answer_to(pieces: &[&str], end: bool) -> String {
        let (mut server, mut client) = server();
        for piece in pieces {
            client.write_all(piece.as_bytes()).unwrap();
            if end {
                client.shutdown(Shutdown::Write).unwrap();
            }
            thread::sleep(Duration::from_millis(50));
            server.serve(echo);
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
            answer_to(&["GET /met", "rics HTTP/1.1\r\nHost: x\r\n", "\r\n"], false),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nGET /metrics"
        );
    }

    #[test]
    fn a_client_that_sends_no_more() {
        assert!(answer_to(&["GET / HTTP/1.0\r\n\r\n"], true).ends_with("\r\n\r\nGET /"));
    }

    #[test]
    fn head_has_no_body() {
        assert!(answer_to(&["HEAD / HTTP/1.0\r\n\r\n"], false)
            .ends_with("Content-Length: 6\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn long_or_incomplete_requests_get_no_answer() {
        let long = "x".repeat(REQUEST) + "\r\n\r\n";
        assert_eq!(answer_to(&["GET /", &long], false), "");
        assert_eq!(answer_to(&["GET / HTTP/1.0\r\n"], true), "");
    }

    #[test]
    fn a_client_that_reads_late() {
        const SIZE: usize = 20_000_000;
        let (mut server, mut client) = server();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(500));
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            answer.len()
        });
        while !reader.is_finished() {
            thread::sleep(server.serve(|_, _| Response {
                body: "x".repeat(SIZE),
                ..echo("", "")
            }));
        }
        assert!(reader.join().unwrap() > SIZE);
    }

    #[test]
    fn silent_clients_are_dropped() {
        let (mut server, mut late) = server();
        let silent: Vec<TcpStream> = (0..CLIENTS)
            .map(|_| TcpStream::connect(server.address().unwrap()).unwrap())
            .collect();
        late.write_all(b"GET ").unwrap();
        for _ in 0..4 {
            server.serve(echo);
        }
        assert!(server.clients.len() < CLIENTS);
        let mut client = TcpStream::connect(server.address().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        thread::sleep(Duration::from_millis(50));
        server.serve(echo);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("GET /"));
        drop(silent);
    }

    #[test]
    fn nobody_stays_silent() {
        let (mut server, _client) = server();
        thread::sleep(Duration::from_millis(50));
        server.serve(echo);
        assert_eq!(server.clients.len(), 1);
        server.clients[0].since -= PATIENCE;
        server.serve(echo);
        assert_eq!(server.clients.len(), 0);
    }
}
