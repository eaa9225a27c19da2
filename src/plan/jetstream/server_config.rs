use super::{Subject, stateful_set};
use crate::api::names;

/// Names of the files of one side of TLS, in the folder of the configuration.
pub(in crate::plan) struct TlsFiles {
    /// Certificate.
    pub cert: &'static str,
    /// Its key.
    pub key: &'static str,
    /// Certificate of the authority.
    pub authority: &'static str,
}

/// What servers show to clients. Numaflow's names, because the pods of a service that is taken over have these, and get no others by a reload.
pub(in crate::plan) const CLIENT_FILES: TlsFiles = TlsFiles { cert: "server-cert.pem", key: "server-key.pem", authority: "ca-cert.pem" };
/// What servers show to one another; Numaflow's names as well.
pub(super) const CLUSTER_FILES: TlsFiles =
    TlsFiles { cert: "cluster-server-cert.pem", key: "cluster-server-key.pem", authority: "cluster-ca-cert.pem" };

/// Text of the server's configuration, as Numaflow writes it, to the byte where nothing of ours differs (`reference/observed-default.yaml`).
///
/// `$POD_NAME`, `$CLUSTER_ADVERTISE` and `$JS_KEY` are variables that NATS takes from the container's environment.
pub(in crate::plan) fn server_config(subject: Subject<'_>) -> String {
    let settings = subject.settings;
    let key = if subject.spec.encrypted() { "key: $JS_KEY" } else { "" };
    let mut text = format!(
        "port: {client}\npid_file: \"/var/run/nats/nats.pid\"\n\nmax_payload: {max_payload}\n\n\
         ###############\n#             #\n# Monitoring  #\n#             #\n###############\n\
         http: {monitor}\nserver_name: $POD_NAME\n\
         ###################################\n#                                 #\n# NATS JetStream                  #\n#                                 #\n###################################\n\
         jetstream {{\n  {key}\n  store_dir: \"{store}\"\n  max_memory_store: {memory}\n  max_file_store: {file}\n}}\n\n",
        client = names::CLIENT_PORT,
        max_payload = settings.max_payload.text,
        monitor = names::MONITOR_PORT,
        store = stateful_set::STORE_DIR,
        memory = settings.max_memory_store.text,
        file = subject.max_file_store(),
    );
    if subject.spec.server_count() > 2 {
        text.push_str(&cluster(subject));
    }
    text.push_str("lame_duck_duration: 120s\n");
    if subject.spec.tls_enabled() {
        // In a service that is taken over the block stands in auth.conf as well, which is included below: of two blocks of one name NATS takes the later
        // one (nats-server 2.12.7, conf/parse.go, setValue), and both name the same files.
        text.push_str(&tls(&CLIENT_FILES, "", ""));
    }
    text.push_str(
        "##################\n#                #\n# Authorization  #\n#                #\n##################\ninclude ./auth.conf",
    );
    text
}

fn cluster(subject: Subject<'_>) -> String {
    let (name, namespace) = (subject.name(), subject.namespace());
    let service = names::service(name);
    let routes: Vec<_> = (0..subject.spec.server_count())
        .map(|ordinal| format!("nats://{}.{service}.{namespace}.svc:{}", names::pod(name, ordinal), names::CLUSTER_PORT))
        .collect();
    // Servers prove themselves to one another, so that only the service's own can join.
    let tls = if subject.spec.tls_enabled() { tls(&CLUSTER_FILES, "  ", "    verify: true\n") } else { String::new() };
    format!(
        "###################################\n#                                 #\n# NATS Cluster                    #\n#                                 #\n###################################\n\
         cluster {{\n  port: {port}\n  name: {word}\n  routes: [{routes}]\n  cluster_advertise: $CLUSTER_ADVERTISE\n  connect_retries: 120\n  {tls}\n}}\n",
        port = names::CLUSTER_PORT,
        word = word(name),
        routes = routes.join(","),
        tls = tls.trim(),
    )
}

/// A service's name as NATS reads it as text. A name begins with a small letter (RFC 1035 label), so it is no number, date or variable to NATS; but these
/// words it reads as true or false, and does not start (nats-server 2.12.7, conf/lex.go, isBool). Every other name stays without quotes, as Numaflow writes it.
fn word(name: &str) -> String {
    match name {
        "true" | "false" | "on" | "off" | "yes" | "no" => format!("\"{name}\""),
        _ => name.to_owned(),
    }
}

fn tls(files: &TlsFiles, indent: &str, more: &str) -> String {
    let dir = stateful_set::CONFIG_DIR;
    let TlsFiles { cert, key, authority } = files;
    format!(
        "{indent}tls {{\n{indent}  cert_file: \"{dir}/{cert}\"\n{indent}  key_file: \"{dir}/{key}\"\n{indent}  ca_file: \"{dir}/{authority}\"\n{more}{indent}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nats_reads_as_a_truth_value_is_quoted_and_no_other() {
        for name in ["true", "false", "on", "off", "yes", "no"] {
            assert_eq!(word(name), format!("\"{name}\""));
        }
        for name in ["default", "onn", "no-1", "t", "y", "null", "e5", "k8s", "inf", "g1", "include"] {
            assert_eq!(word(name), name, "its bytes stay");
        }
    }
}
