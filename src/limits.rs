//! Every bound, with its unit and its reason (law *bounded*).

use std::time::Duration;

/// Longest name of a `JetStream` service: the `StatefulSet` adds `isbsvc-` and `-js`, and its pods' label `controller-revision-hash` adds 11 more
/// characters to at most 63 (kubernetes issue 64023).
pub const JETSTREAM_NAME: usize = 42;
/// Longest name of a native Redis service: `isbsvc-<n>-redis-svc-headless` is a DNS label of at most 63, and its `StatefulSet` of at most 52.
pub const REDIS_NAME: usize = 37;
/// Longest name of anything that becomes a DNS label, characters.
pub const DNS_LABEL: usize = 63;
/// Longest list whose items an admission policy compares with one another: the API server bounds what an expression may cost, and one that costs more
/// is a refusal.
pub const POLICY_LIST: usize = 100;
/// Largest `settings` or `bufferConfig` text, bytes; keeps the cost of CEL and the size of objects down.
pub const EMBEDDED_TEXT: usize = 64 * 1024;
/// Smallest volume of a server, bytes: NATS writes a stream in blocks of up to 8 MiB, and needs room for a second one before it deletes the first.
pub const VOLUME: u64 = 16 * 1024 * 1024;
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
/// Between two looks at every stream and consumer of a healthy service: what no server says otherwise, a stream without a leader, is seen no later.
pub const LOOK_AT_STREAMS: Duration = Duration::from_mins(2);
/// Between two looks at a service that waits for something: Pipelines that still use it, a fact that could not be read.
pub const LOOK_WHILE_WAITING: Duration = Duration::from_secs(5);

/// How long another controller must have left an object alone before we write it again: two that write at once would fight, and each round may restart
/// servers. Numaflow's controller tries again at most every few minutes.
pub const FOREIGN_QUIET: Duration = Duration::from_mins(10);

/// Longest note of an event, bytes (the API's own limit is 1 kB).
pub const EVENT_NOTE: usize = 1000;
/// How long an event is remembered, so that the same words again are counted on it.
pub const EVENT_WINDOW: Duration = Duration::from_mins(10);
/// Between two writes of an event that says the same.
pub const EVENT_AGAIN: Duration = Duration::from_mins(1);
/// Different events of one service in [`EVENT_WINDOW`]: a service that is made has some ten, and one that somebody fights with us over has no end.
pub const EVENTS_PER_SERVICE: usize = 25;
/// Reasons of a verdict that are told by events at one look; all of them stand in the status.
pub const NEWS: usize = 3;
/// Longest `status.message`, bytes; the API allows more, but tables and people do not.
pub const STATUS_MESSAGE: usize = 1024;
/// Longest text of one reason of a verdict, bytes: three of them fit into a status.
pub const REASON: usize = 320;
/// Names in one reason of a verdict.
pub const REASON_NAMES: usize = 3;
/// Most reasons of one verdict, the worst ones: what servers list (peers, streams) is not ours to bound.
pub const REASONS: usize = 100;
/// How long a restart of a container is told (Numaflow's contract: `PodRecentRestart`).
pub const RECENT_RESTART: Duration = Duration::from_mins(2);
/// Left of a certificate from which a person should look: a month for whoever has to ask somebody else for a new one.
pub const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);
/// Left of a certificate from which it cannot wait: a week with its weekend.
pub const CERTIFICATE_CRITICAL: Duration = Duration::from_hours(7 * 24);

/// Most values in a YAML text within a service (`settings`, `bufferConfig`), those counted again that an alias repeats: a few lines of aliases could ask for
/// any number of them. All that is known there are some thirty.
pub const YAML_VALUES: usize = 1000;

/// Largest admission review that the webhook reads, bytes: an update carries the old and the new object, each of at most 3 MiB.
pub const REVIEW: usize = 8 * 1024 * 1024;
/// All reviews that are read or judged at one moment, bytes; more are put off (429), so that a flood cannot exceed the pod's memory limit of 64 MiB.
pub const REVIEWS: usize = 16 * 1024 * 1024;
/// Of each review so much is not counted in [`REVIEWS`], bytes: an ordinary one takes two to six thousand, and 400 connections take 6 MiB by it.
pub const REVIEW_SMALL: usize = 16 * 1024;
/// Most values in one review, counted by the commas and brackets of its text: the smallest value takes two bytes in the text and fifty in memory, and
/// no object that etcd takes comes near.
pub const REVIEW_VALUES: usize = 150_000;
/// Reviews that are read, wait or are judged at one moment; more are put off (429), which the API server tries again.
pub const REVIEWS_AT_ONCE: usize = 128;
/// Time for one review where the caller names none (the API's own default of `timeoutSeconds`).
pub const REVIEW_TIME: Duration = Duration::from_secs(10);
/// Most time for one review, whatever the caller names (the API's own limit of `timeoutSeconds`).
pub const REVIEW_TIME_MOST: Duration = Duration::from_secs(30);
/// How long before its end a review is given up: the answer has to arrive while somebody listens.
pub const REVIEW_MARGIN: Duration = Duration::from_millis(500);
/// Longest warning, characters: what the API server advises and terminals show.
pub const WARNING: usize = 120;
/// Most warnings in one answer: past 4096 characters in all the API server cuts each of them.
pub const WARNINGS: usize = 30;
/// Longest text about one finding, characters; a message can quote what a user wrote.
pub const FINDING: usize = 1500;
/// Most findings in one refusal: nobody reads more at once, and a list of a hundred thousand wrong arguments must not become an answer of as many lines.
pub const FINDINGS: usize = 30;

/// One TLS handshake with the webhook; the API server itself gives up after 10 s.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// From the first byte of a request to the end of its head: who takes longer only holds a connection.
pub const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// From the end of a request's head to the end of its body: an API server sends it in one go, and who sends it byte by byte holds room for others.
pub const REQUEST_BODY: Duration = Duration::from_secs(5);
/// Largest head of a request, bytes: a line, and headers without cookies or tokens of size.
pub const REQUEST_HEAD_SIZE: usize = 64 * 1024;
/// A connection without a request. The API server closes its own after 90 s, and must be the first to do so: a request that meets a closing connection
/// is lost.
pub const IDLE_CONNECTION: Duration = Duration::from_mins(2);
/// After this age a connection is ended with its next answer, so that API servers find new replicas.
pub const CONNECTION_AGE: Duration = Duration::from_mins(10);
/// Connections to the webhook at one moment: each API server keeps 25, and each takes some 30 KiB. One more takes the place of the one that has been waited
/// for longest.
pub const CONNECTIONS: usize = 400;
/// Connections to the port for probes and metrics at one moment.
pub const ADMIN_CONNECTIONS: usize = 32;
/// From the signal to end until the webhook stops to accept: the time that a Service takes to forget a pod.
pub const DRAIN_NOTICE: Duration = Duration::from_secs(5);
/// Time for reviews under way once the webhook accepts no more.
pub const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at a file of configuration; kubelet swaps links, which a watch on the file does not see.
pub const LOOK_AT_FILE: Duration = Duration::from_secs(10);
/// Largest file of configuration, bytes: a `ConfigMap` holds no more.
pub const FILE: u64 = 1024 * 1024;

/// Entries of `namespaces` in a policy: each is asked at each review.
pub const POLICY_NAMESPACES: usize = 500;
/// How often a policy that cannot be used is told anew: Kubernetes forgets an event after an hour.
pub const POLICY_AGAIN: Duration = Duration::from_mins(45);
/// After the start, how long the webhook waits to be ready for what it keeps of the cluster: whoever cannot read it (no permission, no way) serves all
/// the same, and says what was not checked.
pub const STORES_WAIT: Duration = Duration::from_secs(10);
/// How long what was read of the cluster still counts while it cannot be followed: an API server that restarts is back within that time.
pub const STORE_STALE: Duration = Duration::from_mins(1);
/// Longest silence of an API server on a connection on which it owes the webhook an answer; then it counts as lost. Longer than [`STORE_WATCH`], after which
/// it ends a watch on which nothing happens.
pub const API_SILENCE: Duration = Duration::from_mins(1);
/// One watch of the webhook's, seconds.
pub const STORE_WATCH: u32 = 50;
/// Between two questions to an external Redis: it is somebody else's, and no condition waits for it.
pub const ENDPOINT_LOOK: Duration = Duration::from_mins(1);
/// For one request to an external Redis, the connection included.
pub const ENDPOINT_REQUEST: Duration = Duration::from_secs(3);
/// For all that one external Redis is asked.
pub const ENDPOINT_ASK: Duration = Duration::from_secs(8);
/// External Redis that are asked at one moment; each holds one of the workers ([`RECONCILES_AT_ONCE`]), and all other services are to be looked after meanwhile.
pub const ENDPOINTS_AT_ONCE: usize = 2;
/// Addresses of an external Redis that are asked; the first that answers is enough.
pub const ENDPOINT_ADDRESSES: usize = 3;
/// Objects in one answer of the API server when the webhook reads all of a kind. A Pipeline can have 1.5 MiB (etcd's `--max-request-bytes`), and a few words of
/// each are kept: one answer of nothing but the largest fits into the webhook's memory (`manifests/webhook/deployment.yaml`) beside what it holds.
pub const STORE_PAGE: u32 = 20;
/// One question to the API server whether somebody may override a rule: each of the two steps of a change asks once, and has 5 s.
pub const ACCESS_REVIEW: Duration = Duration::from_millis(1500);
/// Such questions at one moment: overrides are rare, and anybody on the pod network could make the webhook ask.
pub const ACCESS_REVIEWS_AT_ONCE: usize = 4;

/// How long a Lease holds without being renewed: what a dead controller costs at most before another one goes on.
pub const LEASE_TERM: Duration = Duration::from_secs(15);
/// Between two renewals of the Lease.
pub const LEASE_RENEW: Duration = Duration::from_secs(4);
/// Without a renewal for this long, the holder stops by itself, before another one can begin.
pub const LEASE_DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts to take a Lease that somebody else holds.
pub const LEASE_RETRY: Duration = Duration::from_secs(2);

/// How long no server may be evicted because another one does not hold everything yet; after that a drain matters more.
pub const EVICTIONS_HELD: Duration = Duration::from_mins(15);

/// Between two reminders of a missing pod: Kubernetes makes one within a second of being told, and a reminder is a write of the `StatefulSet`.
pub const PODS_MISSING_AGAIN: Duration = Duration::from_secs(10);

/// Services that one controller reconciles at once.
pub const RECONCILES_AT_ONCE: usize = 8;
/// One reconciliation with all that it waits for.
pub const RECONCILE: Duration = Duration::from_mins(2);
/// After the first failure of a service; doubled with each further one.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait after a failure of a service.
pub const RETRY_MOST: Duration = Duration::from_mins(1);
/// After somebody was faster than we: the watch brings what they wrote within moments.
pub const RETRY_CONFLICT: Duration = Duration::from_millis(200);
/// Conflicts in a row that are tried again so soon; more of them are no accident, and wait as long as any failure.
pub const CONFLICTS: u32 = 3;
/// Between two looks, by name, for objects that the watches do not show, of a service that waits for a person.
pub const HIDDEN_LOOK: Duration = Duration::from_mins(1);
/// At the start, how long the definition (CRD) of the services is waited for: it may not be readable at all, where the controller has one namespace.
pub const DEFINITION_WAIT: Duration = Duration::from_secs(5);
/// Fields that one message names.
pub const FIELDS_NAMED: usize = 3;
/// What is under way has this long to end when the controller is told to stop; Kubernetes gives 30 s in all.
pub const RECONCILE_DRAIN: Duration = Duration::from_secs(20);
/// Between two looks at the controller configuration file; kubelet brings a changed `ConfigMap` in about a minute anyway.
pub const CONFIG_LOOK: Duration = Duration::from_secs(5);
/// Largest controller configuration, bytes (a `ConfigMap` holds at most 1 MiB).
pub const CONFIG_FILE: u64 = 1024 * 1024;
/// Between two looks at the webhook's certificate: a timer stands still while a machine is suspended.
pub const CERTIFICATE_LOOK: Duration = Duration::from_mins(1);
/// After the first failure to watch a kind; doubled with each further one.
pub const WATCH_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after a failure to watch a kind; also between two questions whether a type is installed by now.
pub const WATCH_RETRY_MOST: Duration = Duration::from_secs(30);
