//! An API server on a port of this machine that answers by a function and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `name: value`, the name in small letters.
    pub headers: Vec<String>,
    pub body: Value,
}

impl Asked {
    /// Whether it would change something.
    pub fn writes(&self) -> bool {
        self.method != "GET" && !self.path.contains("dryRun=All")
    }
}

/// What is answered.
pub enum Answer {
    /// A status and JSON.
    Json(u16, Value),
    /// A status and text that is no JSON.
    Text(u16, &'static str),
    /// Nothing, until the other side gives up.
    Silence,
}

/// A server that lives as long as the process.
pub struct ApiServer {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl ApiServer {
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &log, answer.as_ref()));
            }
        });
        Self { address, log }
    }

    /// Everything that was asked so far.
    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// What would change something.
    pub fn writes(&self) -> Vec<Asked> {
        self.log().into_iter().filter(Asked::writes).collect()
    }
}

/// Requests of one connection, one after the other, until it ends.
fn serve(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let (mut length, mut headers) = (0, Vec::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            let name = name.to_ascii_lowercase();
            if name == "content-length" {
                length = value.parse().ok()?;
            }
            headers.push(format!("{name}: {value}"));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let asked = Asked { method, path, headers, body: serde_json::from_slice(&body).unwrap_or_default() };
        log.lock().ok()?.push(asked.clone());
        let (status, kind, text) = match answer(&asked) {
            Answer::Json(status, value) => (status, "application/json", value.to_string()),
            Answer::Text(status, text) => (status, "text/html", text.to_owned()),
            Answer::Silence => {
                // Until the other side hangs up.
                reader.read_line(&mut String::new()).ok()?;
                return None;
            }
        };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{text}", text.len()).ok()?;
    }
}

/// What the API server says where it refuses.
pub fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": details,
    });
    Answer::Json(code, status)
}

/// The service `default` of namespace `work`, which no controller has looked at yet.
pub fn service() -> Value {
    json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService",
        "metadata": { "name": "default", "namespace": "work", "uid": "u", "resourceVersion": "1", "generation": 1 },
        "spec": { "jetstream": { "version": "2.12.7", "replicas": 3 } },
    })
}

/// Plurals of everything that is listed, besides services.
const LISTS: [&str; 7] = ["deployments", "events", "persistentvolumeclaims", "pipelines", "poddisruptionbudgets", "pods", "statefulsets"];

/// A cluster with one service and nothing else; what is written is taken and given back.
pub fn cluster(asked: &Asked) -> Answer {
    let path = asked.path.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut body = asked.body.clone();
    match asked.method.as_str() {
        "GET" if path.ends_with("/interstepbufferservices/default") => Answer::Json(200, service()),
        "GET" if path.ends_with("/interstepbufferservices") => {
            Answer::Json(200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": [service()] }))
        }
        "GET" if LISTS.contains(&name) => Answer::Json(200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": [] })),
        "GET" => failure(404, "NotFound", "not found", &json!({ "name": name })),
        _ => {
            if !body.is_object() {
                body = service();
            }
            body["metadata"]["uid"] = json!("u");
            body["metadata"]["resourceVersion"] = json!("2");
            Answer::Json(if asked.method == "POST" { 201 } else { 200 }, body)
        }
    }
}
