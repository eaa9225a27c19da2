//! Every bound, with its unit and its reason (law *bounded*).

use std::time::Duration;

/// Longest name of a `JetStream` service: the `StatefulSet` adds `isbsvc-` and `-js`, and its pods' label `controller-revision-hash` adds 11 more
/// characters to at most 63 (kubernetes issue 64023).
pub const JETSTREAM_NAME: usize = 42;
/// Longest name of a native Redis service: `isbsvc-<n>-redis-svc-headless` is a DNS label of at most 63, and its `StatefulSet` of at most 52.
pub const REDIS_NAME: usize = 37;
/// Largest `settings` or `bufferConfig` text, bytes; keeps the cost of CEL and the size of objects down.
pub const EMBEDDED_TEXT: usize = 64 * 1024;
/// Most servers of one service: NATS elects by majority, and beyond nine every write waits for five disks.
pub const SERVERS: i32 = 9;

/// One question to one server's monitoring port.
pub const SERVER_REQUEST: Duration = Duration::from_secs(3);
/// All questions to all servers of one service.
pub const SERVERS_TOTAL: Duration = Duration::from_secs(10);
/// Questions under way at once to the servers of one service.
pub const SERVER_REQUESTS_AT_ONCE: usize = 8;
/// Largest answer of one server, bytes: `/jsz` with every stream and consumer of a large service.
pub const SERVER_ANSWER: usize = 32 * 1024 * 1024;
/// One request to the API server, whatever retries it takes.
pub const API_REQUEST: Duration = Duration::from_secs(30);

/// Between two looks at a service that comes up: an election takes 4 to 9 s, and pipelines wait for it.
pub const LOOK_WHILE_STARTING: Duration = Duration::from_millis(500);
/// Between two looks at a service whose servers are not as they should be.
pub const LOOK_WHILE_UNWELL: Duration = Duration::from_secs(5);
/// Between two looks at the servers of a healthy service: only they know of a lost leader or a full disk.
pub const LOOK_WHILE_HEALTHY: Duration = Duration::from_secs(30);
/// Between two looks at a service that waits for something: Pipelines that still use it, a fact that could not be read.
pub const LOOK_WHILE_WAITING: Duration = Duration::from_secs(5);

/// Longest note of an event, bytes (the API's own limit is 1 kB).
pub const EVENT_NOTE: usize = 1000;
/// Longest `status.message`, bytes; the API allows more, but tables and people do not.
pub const STATUS_MESSAGE: usize = 1024;
