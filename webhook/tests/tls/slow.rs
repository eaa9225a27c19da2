//! As many slow connections as there may be, of every kind, beside good ones.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use isbsvc::limits;
use isbsvc_webhook::Bounds;
use rustls::ClientConnection;

use super::running::{Connection, Running, tcp};

/// How long each part of a request may take in these tests.
const PART: Duration = Duration::from_secs(2);
/// Between two bytes of a slow connection.
const PACE: Duration = Duration::from_millis(200);
/// Good callers, each with a connection that it keeps and one that it opens anew for each review.
const CALLERS: usize = 2;
/// Half of the good reviews are answered in milliseconds; this leaves room for a machine that does other things as well.
const SLOWEST: Duration = Duration::from_secs(1);

/// What comes slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slow {
    /// The handshake.
    Handshake,
    /// The head of a request.
    Head,
    /// A body of the largest length.
    Body,
    /// A body without a length, in pieces.
    Pieces,
    /// The last byte of a body.
    LastByte,
}

impl Slow {
    const ALL: [Self; 5] = [Self::Handshake, Self::Head, Self::Body, Self::Pieces, Self::LastByte];

    /// What is sent at once.
    fn first(self) -> Vec<u8> {
        let head = "POST /validate?timeout=30s HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        let text = match self {
            Self::Handshake => return b"\x16\x03\x01\x02\x00\x01".to_vec(),
            Self::Head => String::new(),
            Self::Body => format!("{head}content-length: {}\r\n\r\n", limits::REVIEW),
            Self::Pieces => format!("{head}transfer-encoding: chunked\r\n\r\n"),
            Self::LastByte => format!("{head}content-length: 4000\r\n\r\n{}", " ".repeat(3999)),
        };
        text.into_bytes()
    }

    /// What is sent at each beat.
    fn next(self) -> &'static [u8] {
        match self {
            Self::Handshake => b"\0",
            Self::Head => b"P",
            Self::Body => b" ",
            Self::Pieces => b"1\r\n \r\n",
            Self::LastByte => b"",
        }
    }
}

/// A slow connection; TLS but for one whose handshake does not come.
struct Held {
    slow: Slow,
    tls: Option<ClientConnection>,
    socket: TcpStream,
    began: Instant,
}

impl Held {
    fn open(running: &Running, slow: Slow) -> Self {
        let (tls, mut socket) = if slow == Slow::Handshake {
            (None, tcp(running.address).unwrap())
        } else {
            let Connection { stream } = Connection::open(running.client(&["http/1.1"]), running.address).unwrap();
            (Some(stream.conn), stream.sock)
        };
        let began = Instant::now();
        let mut held = Self { slow, tls, socket: socket.try_clone().unwrap(), began };
        let first = slow.first();
        match &mut held.tls {
            None => socket.write_all(&first).unwrap(),
            Some(tls) => {
                tls.writer().write_all(&first).unwrap();
                while tls.wants_write() {
                    tls.write_tls(&mut socket).unwrap();
                }
            }
        }
        socket.set_nonblocking(true).unwrap();
        held
    }

    /// Sends the next byte. Whether the server still has the connection.
    fn is_held(&mut self) -> bool {
        let done = |result: std::io::Result<usize>| match result {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        let Some(tls) = &mut self.tls else {
            return !done(self.socket.read(&mut [0; 16])) && self.socket.write_all(self.slow.next()).is_ok();
        };
        loop {
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return false,
                Ok(_) if tls.process_new_packets().is_ok_and(|state| !state.peer_has_closed()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => return false,
            }
        }
        tls.writer().write_all(self.slow.next()).unwrap();
        while tls.wants_write() {
            if tls.write_tls(&mut self.socket).is_err() {
                return false;
            }
        }
        true
    }
}

/// Keeps them slow until all are closed or the other side goes away; how long each was held.
fn hold(mut held: Vec<Held>, end: &Receiver<()>) -> Vec<(Slow, Duration)> {
    let mut closed = Vec::new();
    while !held.is_empty() && end.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        held.retain_mut(|one| {
            let is_held = one.is_held();
            if !is_held {
                closed.push((one.slow, one.began.elapsed()));
            }
            is_held
        });
    }
    closed
}

/// Asks until the end, on a connection that is kept and on new ones in turn; how long each answer took.
fn ask(running: &Running, end: &AtomicBool) -> Vec<Duration> {
    let (config, address) = (running.client(&["http/1.1"]), running.address);
    let mut kept = Connection::open(config.clone(), address).unwrap();
    let mut took = Vec::new();
    while !end.load(Ordering::Relaxed) {
        let began = Instant::now();
        let said = kept.ask_here();
        took.push(began.elapsed());
        let began = Instant::now();
        let new = Connection::open(config.clone(), address).map(|mut new| new.ask_here()).unwrap();
        took.push(began.elapsed());
        for (head, body) in [said, new] {
            assert!(head.starts_with("http/1.1 200 ok") && body.contains("\"allowed\":true"), "{head}{body}");
        }
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_slow_connections_as_there_may_be_put_no_good_review_off_and_are_closed() {
    let bounds = Bounds { handshake: PART, head: PART, upload: PART, ..Bounds::default() };
    let running = Arc::new(Running::start(bounds));
    running.new_leaf("..1");
    let end = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (running, end) = (Arc::clone(&running), Arc::clone(&end));
            tokio::task::spawn_blocking(move || ask(&running, &end))
        })
        .collect();
    let target = Arc::clone(&running);
    // With the good ones there are too many: those that wait longest give way to them.
    let many = bounds.connections;
    let (_alive, ended) = channel();
    let closed = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let held: Vec<_> = Slow::ALL.into_iter().cycle().take(many).map(|slow| Held::open(&target, slow)).collect();
        // That the first ones are closed is seen once the last one is open.
        (began.elapsed(), hold(held, &ended))
    });
    let (opening, closed) = tokio::time::timeout(Duration::from_mins(1), closed).await.unwrap().unwrap();
    end.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await.unwrap());
    }
    took.sort();
    assert_eq!(closed.len(), many);
    for slow in Slow::ALL {
        let times: Vec<_> = closed.iter().filter(|(kind, _)| *kind == slow).map(|(_, time)| *time).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        println!("{} connections with a slow {slow:?} were held for {least:.1?} to {most:.1?}", times.len());
        assert!(*most < opening + PART + Duration::from_secs(5), "{slow:?}: {least:?} to {most:?}");
    }
    let early = closed.iter().filter(|(_, time)| *time < PART).count();
    assert!(early < many / 10, "{early} gave way, the rest was ended by its time");
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    println!(
        "{} good reviews beside {many} slow connections, {early} of which gave way to others: p50 {:.1?}, p99 {:.1?}, at most {:.1?}",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(took.len() > 100 && at(99) < SLOWEST);
}
