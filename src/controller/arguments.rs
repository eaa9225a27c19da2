use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};

use super::reconcile::external::Allowed;

/// Turns `InterStepBufferService` resources into running, healthy services, and keeps them so.
#[derive(Clone, Debug, Parser)]
#[command(name = "isbsvc-controller", version)]
pub struct Arguments {
    /// Kubeconfig file; without it, that of the environment, or the service account of the pod
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Look after the services of this namespace only
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace_scope: Option<String>,
    /// Controller configuration; without it, /etc/numaflow/controller-config.yaml where it exists, else the built-in one
    #[arg(long, value_name = "FILE")]
    pub controller_config: Option<PathBuf>,
    /// Look after the services of this instance; without it, the one that the controller configuration names at the start
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Write only while holding the Lease isbsvc-controller-lock[-<instance>]
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_elect: bool,
    /// Namespace of the Lease
    #[arg(long, value_name = "NAMESPACE", default_value = "numaflow-system")]
    pub lease_namespace: String,
    /// Keep the webhook's certificate, tell whether its policy can be used, and nothing else: for those who keep Numaflow's own controller
    #[arg(long)]
    pub certificates_only: bool,
    /// Namespace of the webhook and of its policy
    #[arg(long, value_name = "NAMESPACE", default_value = "numaflow-system")]
    pub webhook_namespace: String,
    /// Service of the webhook
    #[arg(long, value_name = "NAME", default_value = "isbsvc-webhook")]
    pub webhook_service: String,
    /// Install the two webhook configurations once a replica is ready, and keep them
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub webhook_configurations: bool,
    /// Address of /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub metrics_listen: SocketAddr,
    /// Address of /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_listen: SocketAddr,
    /// Way to the servers' monitoring port; without it, pod-ip in a pod and port-forward elsewhere
    #[arg(long, value_enum, value_name = "WAY")]
    pub servers_via: Option<Way>,
    /// Addresses of external Redis that the controller may ask how they are, besides Services of their own namespace: HOST[:PORT] or *.DOMAIN[:PORT], several
    /// with commas between
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub external_redis_allow: Vec<Allowed>,
    /// Form of the log lines on standard error
    #[arg(long, value_enum, value_name = "FORM", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Straight to the pod's address.
    PodIp,
    /// Through the API server and the kubelet.
    PortForward,
    /// Through the API server's HTTP proxy.
    ApiProxy,
}

impl Way {
    /// The way that works where we are.
    pub fn here() -> Self {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() { Self::PodIp } else { Self::PortForward }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_switch_takes_a_word_or_none() {
        let parse = |words: &[&str]| Arguments::try_parse_from([&["isbsvc-controller"], words].concat()).unwrap();
        assert!(parse(&[]).leader_elect);
        assert!(parse(&["--leader-elect"]).leader_elect);
        assert!(!parse(&["--leader-elect=false"]).leader_elect);
        assert_eq!(parse(&["--servers-via", "pod-ip"]).servers_via, Some(Way::PodIp));
    }
}
