use std::path::Path;

use kube::Config;
use kube::config::{Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError, NamedCluster, NamedContext};

use super::{Connection, login, proxy};
use crate::exit::Failure;

/// Name of the context, cluster and user that stand for `--server` where there is no kubeconfig.
pub(super) const FROM_FLAGS: &str = "command-line";

/// Names of the contexts that exist, sorted; none where the kubeconfig cannot be read.
pub fn contexts(connection: &Connection) -> Vec<String> {
    let Ok(Some(kubeconfig)) = read(connection) else { return Vec::new() };
    let mut names: Vec<_> = kubeconfig.contexts.into_iter().map(|context| context.name).collect();
    names.sort();
    names
}

/// The client's configuration from the kubeconfig and the flags; in a pod without a kubeconfig, from the pod's account.
pub(super) async fn load(connection: &Connection) -> Result<Config, Failure> {
    login::check(connection)?;
    if let Some(namespace) = &connection.namespace
        && !is_label(namespace)
    {
        return Err(Failure::no_answer(format!(
            "-n {namespace:?} is not the name of a namespace: lower-case letters, digits and hyphens, at most 63"
        )));
    }
    let mut config = match read(connection)? {
        Some(kubeconfig) => from_kubeconfig(connection, kubeconfig).await?,
        None if connection.server.is_some() => from_kubeconfig(connection, Kubeconfig::default()).await?,
        None => in_pod(connection)?,
    };
    if let Some(namespace) = &connection.namespace {
        config.default_namespace.clone_from(namespace);
    }
    proxy::respect_no_proxy(&mut config);
    Ok(config)
}

/// The pod's own account, with every flag that can be carried without a kubeconfig.
fn in_pod(connection: &Connection) -> Result<Config, Failure> {
    let mut config = Config::incluster().map_err(|_| {
        Failure::no_answer(
            "no cluster is known: there is no kubeconfig; set KUBECONFIG, or name one with --kubeconfig, or an API server with --server",
        )
    })?;
    carry_to_pod(connection, &mut config)?;
    Ok(config)
}

fn carry_to_pod(connection: &Connection, config: &mut Config) -> Result<(), Failure> {
    let of_kubeconfig = [("--context", &connection.context), ("--cluster", &connection.cluster), ("--user", &connection.user)];
    if let Some((flag, _)) = of_kubeconfig.into_iter().find(|(_, given)| given.is_some()) {
        return Err(Failure::no_answer(format!("{flag} chooses from a kubeconfig, and there is none; name one with --kubeconfig")));
    }
    login::settle(connection, &mut config.auth_info)?;
    if let Some(file) = &connection.certificate_authority {
        readable(file, "--certificate-authority")?;
        config.root_cert_file = Some(file.clone());
    }
    if let Some(name) = &connection.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    config.accept_invalid_certs = connection.insecure_skip_tls_verify;
    Ok(())
}

fn is_label(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 63 && name.chars().all(allowed) && !name.starts_with('-') && !name.ends_with('-')
}

fn read(connection: &Connection) -> Result<Option<Kubeconfig>, Failure> {
    if let Some(path) = &connection.kubeconfig {
        return read_file(path).map(Some);
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        let mut merged = None;
        // As kubectl does, a file of the list that is not there is passed over.
        for path in std::env::split_paths(&list).filter(|path| path.exists()) {
            let next = read_file(&path)?;
            merged = Some(match merged {
                None => next,
                Some(before) => Kubeconfig::merge(before, next).map_err(|error| Failure::no_answer(format!("KUBECONFIG: {error}")))?,
            });
        }
        return merged
            .map(Some)
            .ok_or_else(|| Failure::no_answer(format!("KUBECONFIG names no file that exists: {}", list.to_string_lossy())));
    }
    let Some(home) = std::env::home_dir() else { return Ok(None) };
    let path = home.join(".kube").join("config");
    if path.exists() { read_file(&path).map(Some) } else { Ok(None) }
}

fn read_file(path: &Path) -> Result<Kubeconfig, Failure> {
    Kubeconfig::read_from(path).map_err(|error| {
        let shown = path.display();
        Failure::no_answer(match error {
            KubeconfigError::ReadConfig(error, _) => format!("cannot read the kubeconfig {shown}: {error}"),
            KubeconfigError::Parse(error) => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                format!("the kubeconfig {shown} is not right: {}", first.strip_prefix("error: ").unwrap_or(first))
            }
            other => format!("the kubeconfig {shown} is not right: {other}"),
        })
    })
}

async fn from_kubeconfig(connection: &Connection, mut kubeconfig: Kubeconfig) -> Result<Config, Failure> {
    let context = chosen_context(connection, &mut kubeconfig)?;
    let cluster = chosen_cluster(connection, &mut kubeconfig, &context)?;
    let user = login::choose(connection, &mut kubeconfig, &context)?;
    let options = KubeConfigOptions { context: Some(context), cluster: Some(cluster), user };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| Failure::no_answer(words(&error)))
}

fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::MissingClusterUrl => "the cluster of the kubeconfig has no server; name it with --server".to_owned(),
        KubeconfigError::ParseClusterUrl(error) => {
            format!("the address of the API server is not one: {error}; write it as https://HOST:PORT")
        }
        KubeconfigError::LoadCertificateAuthority(error) => unloaded("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => unloaded("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => unloaded("client-key", error),
        other => format!("the kubeconfig cannot be used: {other}"),
    }
}

/// Why a file or its text in the kubeconfig cannot be used; what is in it is not said.
fn unloaded(field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::ReadFile(error, path) => {
            format!("the kubeconfig names a {field} that cannot be read: {}: {error}", path.to_string_lossy().trim_matches('"'))
        }
        LoadDataError::DecodeBase64(_) => format!("{field}-data of the kubeconfig is not base64; log in to the cluster again"),
        LoadDataError::NoBase64DataOrFile => format!("the kubeconfig has no {field}"),
    }
}

/// A list of names for an error line.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn chosen_context(connection: &Connection, kubeconfig: &mut Kubeconfig) -> Result<String, Failure> {
    let exist = || list(kubeconfig.contexts.iter().map(|context| context.name.as_str()));
    match connection.context.clone().or_else(|| kubeconfig.current_context.clone().filter(|name| !name.is_empty())) {
        Some(name) if kubeconfig.contexts.iter().any(|context| context.name == name) => Ok(name),
        Some(name) => Err(Failure::no_answer(format!("there is no context {name:?} in the kubeconfig; there are: {}", exist()))),
        None if connection.server.is_some() || connection.cluster.is_some() => {
            let cluster = connection.cluster.clone().unwrap_or_else(|| FROM_FLAGS.to_owned());
            let context = Context { cluster, user: None, ..Context::default() };
            kubeconfig.contexts.push(NamedContext { name: FROM_FLAGS.to_owned(), context: Some(context), ..NamedContext::default() });
            Ok(FROM_FLAGS.to_owned())
        }
        None => {
            Err(Failure::no_answer(format!("the kubeconfig has no current context; choose one with --context; there are: {}", exist())))
        }
    }
}

fn chosen_cluster(connection: &Connection, kubeconfig: &mut Kubeconfig, context: &str) -> Result<String, Failure> {
    let of_context =
        kubeconfig.contexts.iter().find(|named| named.name == context).and_then(|named| Some(named.context.as_ref()?.cluster.clone()));
    let name = connection.cluster.clone().or(of_context).unwrap_or_default();
    if !kubeconfig.clusters.iter().any(|cluster| cluster.name == name) {
        if connection.server.is_none() || connection.cluster.is_some() {
            let exist = list(kubeconfig.clusters.iter().map(|cluster| cluster.name.as_str()));
            return Err(Failure::no_answer(format!("there is no cluster {name:?} in the kubeconfig; there are: {exist}")));
        }
        kubeconfig.clusters.push(NamedCluster { name: name.clone(), cluster: Some(Cluster::default()), ..NamedCluster::default() });
    }
    let Some(cluster) = kubeconfig.clusters.iter_mut().find(|cluster| cluster.name == name).and_then(|named| named.cluster.as_mut()) else {
        return Err(Failure::no_answer(format!("the cluster {name:?} of the kubeconfig is empty; name its server with --server")));
    };
    if let Some(server) = &connection.server {
        let with_scheme = if server.contains("://") { server.clone() } else { format!("https://{server}") };
        cluster.server = Some(with_scheme);
    }
    if let Some(file) = &connection.certificate_authority {
        readable(file, "--certificate-authority")?;
        cluster.certificate_authority = Some(file.to_string_lossy().into_owned());
        cluster.certificate_authority_data = None;
    }
    if let Some(name) = &connection.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if connection.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
    Ok(name)
}

/// Whether a file that a flag names is there.
pub(super) fn readable(file: &Path, flag: &str) -> Result<(), Failure> {
    std::fs::metadata(file).map(|_| ()).map_err(|error| Failure::no_answer(format!("{flag} {}: {error}", file.display())))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const TWO: &str = r"
apiVersion: v1
kind: Config
current-context: blue
contexts:
- name: blue
  context: { cluster: blue, user: ann, namespace: work }
- name: green
  context: { cluster: green, user: bob }
clusters:
- name: blue
  cluster: { server: 'https://blue.example:6443' }
- name: green
  cluster: { server: 'https://green.example:6443', tls-server-name: g }
users:
- name: ann
  user: { token: a }
- name: bob
  user: { token: b }
";

    pub(in crate::connection) fn load_with(change: impl FnOnce(&mut Connection)) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, TWO).unwrap();
        let mut connection = Connection { kubeconfig: Some(path), ..Connection::default() };
        change(&mut connection);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(load(&connection))
    }

    #[test]
    fn the_current_context_holds_and_flags_win_over_it() {
        let config = load_with(|_| {}).unwrap();
        assert_eq!((config.cluster_url.host(), config.default_namespace.as_str()), (Some("blue.example"), "work"));
        let config = load_with(|connection| {
            connection.context = Some("green".into());
            connection.namespace = Some("other".into());
            connection.tls_server_name = Some("name".into());
        })
        .unwrap();
        assert_eq!((config.cluster_url.host(), config.default_namespace.as_str()), (Some("green.example"), "other"));
        assert_eq!(config.tls_server_name.as_deref(), Some("name"));
        let config = load_with(|connection| connection.server = Some("red.example:1234".into())).unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://red.example:1234/");
    }

    #[test]
    fn what_is_wrong_is_one_line_with_a_way_out() {
        let lines: Vec<String> = [
            load_with(|connection| connection.context = Some("red".into())),
            load_with(|connection| connection.cluster = Some("red".into())),
            load_with(|connection| connection.user = Some("zoe".into())),
            load_with(|connection| connection.as_group = vec!["ops".into()]),
            load_with(|connection| connection.as_user_extra = vec![("scopes".into(), "view".into())]),
            load_with(|connection| connection.username = Some("ann".into())),
            load_with(|connection| {
                connection.username = Some("ann".into());
                connection.password = Some(super::super::Hidden("geheim".into()));
                connection.token = Some(super::super::Hidden("geheim".into()));
            }),
            load_with(|connection| connection.client_certificate = Some("/dev/null".into())),
            load_with(|connection| {
                connection.insecure_skip_tls_verify = true;
                connection.certificate_authority = Some("/dev/null".into());
            }),
            load_with(|connection| connection.namespace = Some("Not_One".into())),
            load_with(|connection| connection.kubeconfig = Some("/nowhere/at/all".into())),
            load_with(|connection| connection.certificate_authority = Some("/nowhere/ca.crt".into())),
            load_with(|connection| connection.server = Some("https://not a host".into())),
        ]
        .into_iter()
        .map(|result| result.err().unwrap().message)
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn flags_hold_in_a_pod_without_a_kubeconfig_as_well() {
        let mut config = Config::new("https://10.0.0.1".parse().unwrap());
        let connection = Connection {
            as_user: Some("carl".into()),
            token: Some(super::super::Hidden("t".into())),
            tls_server_name: Some("kubernetes".into()),
            certificate_authority: Some("/dev/null".into()),
            ..Connection::default()
        };
        carry_to_pod(&connection, &mut config).unwrap();
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("carl"));
        assert!(config.auth_info.token.is_some() && config.tls_server_name.as_deref() == Some("kubernetes"));
        assert_eq!(config.root_cert_file.as_deref(), Some(Path::new("/dev/null")));
        let failure = carry_to_pod(&Connection { context: Some("blue".into()), ..Connection::default() }, &mut config).unwrap_err();
        assert!(failure.message.starts_with("--context chooses from a kubeconfig, and there is none"), "{}", failure.message);
    }

    #[test]
    fn a_kubeconfig_that_is_not_yaml_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "clusters: [\n  - oops: {").unwrap();
        let failure = read_file(&path).err().unwrap();
        assert!(failure.message.contains("is not right") && !failure.message.contains('\n'), "{}", failure.message);
    }
}
