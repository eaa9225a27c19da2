//! Against real servers of Redis, which `cargo xtask test` installs; without them these tests are left out.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// The newest server that the tests are given; else the machine's.
fn program() -> std::path::PathBuf {
    let given = std::env::var_os("ISBSVC_TEST_REDIS").and_then(|folders| std::env::split_paths(&folders).next());
    given.map_or_else(|| "redis-server".into(), |folder| folder.join("redis-server"))
}

/// A server on a port of its own; it ends with the test.
struct Server {
    child: Child,
    folder: std::path::PathBuf,
    address: SocketAddr,
}

impl Server {
    fn start(configuration: &str, more: &[&str]) -> Self {
        let address = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let folder = std::env::temp_dir().join(format!("isbsvc-endpoint-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("redis.conf");
        let own = format!("port {}\nbind 127.0.0.1\ndir {}\nsave \"\"\n", address.port(), folder.display());
        std::fs::write(&file, format!("{}{configuration}\n", if more.is_empty() { own } else { own.replace("save \"\"\n", "") })).unwrap();
        let child = Command::new(program()).arg(&file).args(more).stdout(Stdio::null()).spawn().unwrap();
        Self { child, folder, address }
    }

    /// Asks until it listens.
    async fn answers(&self, question: &Question) -> Endpoint {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let endpoint = ask(self.address, "redis:6379", question).await;
            if !matches!(endpoint, Endpoint::Unreachable { .. }) {
                return endpoint;
            }
            assert!(Instant::now() < deadline, "{endpoint:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tell(&self, words: &[&str]) {
        let mut connection = connect(self.address, &question(RedisMode::Single)).await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async::<()>(&mut connection).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn question(mode: RedisMode) -> Question {
    Question { mode, master: "mymaster".to_owned(), user: None, password: None }
}

fn as_user(user: Option<&str>, password: &str) -> Question {
    Question { user: user.map(str::to_owned), password: Some(password.to_owned()), ..question(RedisMode::Single) }
}

fn address() -> String {
    "redis:6379".to_owned()
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_single_redis_with_users_of_its_own() {
    let server = Server::start("requirepass right\nuser reader on >secret ~* +ping", &[]);
    assert_eq!(server.answers(&as_user(None, "right")).await, Endpoint::Answers);
    // Who may not ask what it is gets an answer all the same.
    assert_eq!(server.answers(&as_user(Some("reader"), "secret")).await, Endpoint::Answers);
    let refused = Endpoint::WrongPassword { address: address() };
    assert_eq!(server.answers(&as_user(None, "wrong")).await, refused);
    assert_eq!(server.answers(&as_user(Some("nobody"), "right")).await, refused);
    assert_eq!(server.answers(&question(RedisMode::Single)).await, refused);
    let cluster = Question { mode: RedisMode::Cluster, ..as_user(None, "right") };
    assert_eq!(server.answers(&cluster).await, Endpoint::NoCluster { address: address() });
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_node_of_a_cluster() {
    let server = Server::start("cluster-enabled yes", &[]);
    assert_eq!(server.answers(&question(RedisMode::Single)).await, Endpoint::IsCluster { address: address() });
    assert_eq!(server.answers(&question(RedisMode::Cluster)).await, Endpoint::ClusterDown { address: address() });
    server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.answers(&question(RedisMode::Cluster)).await != Endpoint::Answers {
        assert!(Instant::now() < deadline, "the cluster serves");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn sentinels_are_asked_for_their_master_and_not_followed() {
    // Nobody listens there; the Sentinel knows it all the same.
    let server = Server::start("sentinel monitor mymaster 127.0.0.1 1 1\nrequirepass guard", &["--sentinel"]);
    let sentinel = |master: &str, password: Option<&str>| Question {
        master: master.to_owned(),
        password: password.map(str::to_owned),
        ..question(RedisMode::Sentinel)
    };
    assert_eq!(server.answers(&sentinel("mymaster", Some("guard"))).await, Endpoint::Answers);
    assert_eq!(server.answers(&sentinel("other", Some("guard"))).await, Endpoint::NoMaster { name: "other".to_owned() });
    assert_eq!(server.answers(&sentinel("mymaster", None)).await, Endpoint::WrongPassword { address: address() });
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_redis() {
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let unreachable = |why| Endpoint::Unreachable { address: address(), why };
    assert_eq!(ask(closed, "redis:6379", &question(RedisMode::Single)).await, unreachable("refuses the connection"));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let web = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let said = ask(web, "redis:6379", &question(RedisMode::Single)).await;
    assert!(matches!(said, Endpoint::Unreachable { why: "answers what no Redis answers" | "the connection breaks", .. }), "{said:?}");
}
