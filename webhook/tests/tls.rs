//! The webhook on a real socket, as an API server meets it.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use isbsvc_webhook::Bounds;
use rustls::{ClientConnection, StreamOwned};

#[path = "tls/running.rs"]
mod running;
#[path = "tls/slow.rs"]
mod slow;

use running::{BODY, Running, tcp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_certificates_one_after_the_other_reach_new_connections_and_old_ones_go_on() {
    let running = Running::start(Bounds::default());
    assert!(running.ready().await.contains("503 Service Unavailable"), "ready without a certificate");
    assert!(running.connect().await.is_err(), "a handshake without a certificate");

    let first = running.new_leaf("..1");
    assert!(running.ready().await.contains("200 OK"));
    let (old, head, body) = running.connect().await.unwrap().ask().await;
    assert_eq!(old.leaf(), first);
    assert!(head.starts_with("http/1.1 200 ok") && body.contains(r#""uid":"u-1""#), "{head}{body}");

    for day in ["..2", "..3"] {
        let leaf = running.new_leaf(day);
        let (new, head, _) = running.connect().await.unwrap().ask().await;
        assert_eq!(new.leaf(), leaf, "day {day}");
        assert!(head.starts_with("http/1.1 200 ok"));
    }
    let (old, head, _) = old.ask().await;
    assert_eq!(old.leaf(), first);
    assert!(head.starts_with("http/1.1 200 ok"), "a connection from before the swaps goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_not_offered() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    for (protocols, chosen) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&["h2"][..], None)] {
        let (config, address) = (running.client(protocols), running.address);
        let agreed = tokio::task::spawn_blocking(move || {
            let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
            let mut stream = StreamOwned::new(client, tcp(address).unwrap());
            stream.flush().ok()?;
            stream.conn.alpn_protocol().map(<[u8]>::to_vec)
        })
        .await
        .unwrap();
        assert_eq!(agreed.as_deref(), chosen, "{protocols:?}");
    }
}

/// What comes back for these bytes, until the server closes; where `all` of it was sent, no more will come, and a body that is shorter than was said ends
/// there. A server may take that for a goodbye, and leave a question unanswered.
async fn raw(running: &Running, bytes: Vec<u8>, all: bool) -> String {
    let mut connection = running.connect().await.unwrap();
    tokio::task::spawn_blocking(move || {
        connection.stream.write_all(&bytes).unwrap();
        if all {
            connection.stream.conn.send_close_notify();
        }
        connection.stream.flush().unwrap();
        let mut text = Vec::new();
        let _ = connection.stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_without_asking_is_not_spoken() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let settings = b"\0\0\0\x04\0\0\0\0\0".as_slice();
    let said = raw(&running, [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), settings].concat(), true).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said:?}");
}

/// A request that would like another protocol is answered in this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_to_http2_is_not_made() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nx: y";
    let more = format!("{upgrade}\r\ncontent-length: {}", BODY.len());
    let post = format!("POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{more}\r\n\r\n{BODY}");
    let mut connection = running.connect().await.unwrap();
    let said = tokio::task::spawn_blocking(move || {
        connection.stream.write_all(post.as_bytes()).unwrap();
        connection.answer()
    });
    let (head, body) = said.await.unwrap();
    assert!(head.starts_with("http/1.1 200 ok") && !head.contains("upgrade") && body.contains("\"allowed\":true"), "{head}{body}");

    // The port for probes is without TLS, so that a client need not ask for a protocol at all.
    let admin = running.admin;
    for (asked, expected) in [
        (format!("GET /readyz HTTP/1.1\r\nhost: a\r\n{upgrade}\r\nconnection: close\r\n\r\n"), &["HTTP/1.1 200"][..]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(), &["HTTP/1.1 400", ""]),
    ] {
        let said = tokio::task::spawn_blocking(move || {
            let (mut stream, mut text) = (tcp(admin).unwrap(), Vec::new());
            stream.write_all(asked.as_bytes()).unwrap();
            // Cut off by a reset or not, what was said is what counts.
            let _ = stream.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let said = said.await.unwrap();
        assert!(expected.contains(&&said[..said.len().min(12)]), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_length_gets_no_decision() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let post = |more: &str, body: &str| {
        format!("POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{more}\r\n\r\n{body}").into_bytes()
    };
    let size = BODY.len();
    for (length, codes) in [
        // Too short, so that the rest would be the next request; too long; and two that contradict each other, as smugglers send.
        (format!("content-length: {}", size - 5), &["400", ""][..]),
        (format!("content-length: {}", size + 5), &["400", ""]),
        (format!("content-length: {size}\r\ncontent-length: {}", size - 5), &["400"]),
        (format!("content-length: -{size}"), &["400"]),
    ] {
        let said = raw(&running, post(&length, BODY), true).await;
        let code = said.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        assert!(codes.contains(&code) && !said.contains("allowed"), "{length}: {said}");
    }
    let chunk = format!("{size:x}\r\n{BODY}\r\n0\r\n\r\n");
    let said = raw(&running, post("transfer-encoding: chunked\r\nconnection: close", &chunk), false).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"allowed\":true"), "without a length, in pieces: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_is_dropped_and_its_place_is_free_again() {
    let running = Running::start(Bounds { handshake: Duration::from_millis(100), connections: 1, ..Bounds::default() });
    running.new_leaf("..1");
    let address = running.address;
    let read = tokio::task::spawn_blocking(move || tcp(address).unwrap().read(&mut [0])).await.unwrap();
    // Closed by the server; whether by a farewell or by a reset is the system's matter.
    assert!(matches!(&read, Ok(0)) || matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{read:?}");
    let (_, head, _) = running.connect().await.unwrap().ask().await;
    assert!(head.starts_with("http/1.1 200 ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_takes_the_place_of_the_one_that_waited_longest() {
    let running = Running::start(Bounds { connections: 3, ..Bounds::default() });
    running.new_leaf("..1");
    let mut idle = running.connect().await.unwrap();
    let (used, ..) = running.connect().await.unwrap().ask().await;
    // No handshake at all: the server knows it once its place counts.
    let address = running.address;
    let silent = tokio::task::spawn_blocking(move || tcp(address).unwrap()).await.unwrap();
    let (new, head, _) = running.connect().await.unwrap().ask().await;
    assert!(head.starts_with("http/1.1 200 ok"));
    assert!(running.admin_says("/metrics").await.contains("isbsvc_webhook_connections_failed_total 1\n"));
    let ended = tokio::task::spawn_blocking(move || idle.stream.read(&mut [0])).await.unwrap();
    assert!(!matches!(ended, Ok(1..)) && !matches!(&ended, Err(error) if error.kind() == ErrorKind::WouldBlock), "{ended:?}");
    for kept in [used, new] {
        let (_, head, _) = kept.ask().await;
        assert!(head.starts_with("http/1.1 200 ok"));
    }
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_word_to_end_it_is_unready_answers_on_and_ends_connections_gently() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let (old, head, _) = running.connect().await.unwrap().ask().await;
    assert!(!head.contains("connection: close"));

    running.goodbye.send(Duration::from_hours(1)).await.unwrap();
    while !running.webhook.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(running.ready().await.contains("draining"));
    let (_, head, body) = old.ask().await;
    assert!(head.contains("connection: close") && body.contains(r#""allowed":true"#), "{head}");
    let (_, head, _) = running.connect().await.unwrap().ask().await;
    assert!(head.starts_with("http/1.1 200 ok"), "a new connection within the notice");

    // The second word ends at once, an hour early.
    running.goodbye.send(Duration::ZERO).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), running.ended).await.unwrap().unwrap().unwrap();
    // The listener goes with its task, which may be a moment later; and another test may be given the same port for a while.
    let closed = async {
        while TcpStream::connect(running.address).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_closes_idle_connections_and_comes_by_itself() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let (_idle, ..) = running.connect().await.unwrap().ask().await;
    running.goodbye.send(Duration::ZERO).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), running.ended).await.unwrap().unwrap().unwrap();
}
