//! A provider that answers from a list, over real connections on the loopback interface.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// An answer with this status, these further header lines, and this body.
    Answer(u16, &'static str, Vec<u8>),
    /// Announces so many bytes, sends the body, and closes the connection.
    CutOff(usize, Vec<u8>),
    /// Announces no length, and sends bytes until the client closes the connection.
    Endless,
    /// Sends a byte now and then, without end.
    Drip,
    /// No answer.
    Silence,
    /// Closes the connection.
    Close,
}

/// A JSON answer under HTTP 200.
pub fn json(body: impl Into<String>) -> Reply {
    Reply::Answer(200, "", body.into().into_bytes())
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    /// The request line and the header lines.
    pub head: Vec<String>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    received: Vec<Received>,
    sent: u64,
}

#[derive(Debug)]
pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Answers requests with `replies`, in order; then with silence.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let replies = replies.into_iter().collect();
        let state = Arc::new(Mutex::new(State {
            replies,
            ..State::default()
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                // The client closes connections when it has enough. That is no error of the server.
                thread::spawn(move || serve(stream, &state).unwrap_or_default());
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic").received.clone()
    }

    /// How many bytes of bodies the operating system took from the server.
    pub fn sent(&self) -> u64 {
        self.state.lock().expect("no panic").sent
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut received = Received {
            at: Instant::now(),
            head,
            body: String::new(),
        };
        let length = received
            .header("content-length")
            .map_or(0, |n| n.parse().expect("a number"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        received.body = String::from_utf8(body).expect("JSON is UTF-8");
        let reply = {
            let mut state = state.lock().expect("no panic");
            state.received.push(received);
            state.replies.pop_front().unwrap_or(Reply::Silence)
        };
        let send = |stream: &mut TcpStream, bytes: &[u8]| {
            stream.write_all(bytes)?;
            state.lock().expect("no panic").sent += bytes.len() as u64;
            std::io::Result::Ok(())
        };
        let head =
            |status: u16, more: &str| format!("HTTP/1.1 {status} Odd\r\ncontent-type: application/json\r\n{more}\r\n");
        let length = |bytes: usize| format!("content-length: {bytes}\r\n");
        match reply {
            Reply::Answer(status, more, body) => {
                stream.write_all(head(status, &format!("{more}{}", length(body.len()))).as_bytes())?;
                send(&mut stream, &body)?;
            }
            Reply::CutOff(announced, body) => {
                stream.write_all(head(200, &length(announced)).as_bytes())?;
                return send(&mut stream, &body);
            }
            Reply::Endless => {
                stream.write_all(head(200, "connection: close\r\n").as_bytes())?;
                loop {
                    send(&mut stream, &[b' '; 64 * 1024])?;
                }
            }
            Reply::Drip => {
                stream.write_all(head(200, "connection: close\r\n").as_bytes())?;
                loop {
                    send(&mut stream, b" ")?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Reply::Silence => thread::sleep(Duration::from_secs(60)),
            Reply::Close => return Ok(()),
        }
    }
}
