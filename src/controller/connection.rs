use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::arguments::{Arguments, Way};
use crate::servers::Reach;

/// How to reach the API server: by the flags, by the environment's kubeconfig, or as the pod's service account.
pub async fn config(arguments: &Arguments) -> anyhow::Result<Config> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    match &arguments.kubeconfig {
        Some(path) => {
            // Each error of kube says its causes itself, so it is not chained further.
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| anyhow::anyhow!("--kubeconfig: {error}"))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| anyhow::anyhow!("--kubeconfig {}: {error}", path.display()))
        }
        None if arguments.context.is_some() => {
            Config::from_kubeconfig(&options).await.map_err(|error| anyhow::anyhow!("--context: {error}"))
        }
        None => Config::infer().await.context("neither a kubeconfig nor a service account can be used; name one with --kubeconfig"),
    }
}

/// The way to the servers.
pub fn reach(config: &Config, client: &Client, way: Way) -> anyhow::Result<Reach> {
    Ok(match way {
        Way::PodIp => Reach::PodIp,
        Way::PortForward => Reach::PortForward(client.clone()),
        Way::ApiProxy => {
            // The answer 503 of a server that is not well is an answer.
            let mut config = config.clone();
            config.default_retry = false;
            Reach::ApiProxy(Client::try_from(config).context("API server")?)
        }
    })
}
