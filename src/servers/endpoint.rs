//! Asking an external Redis how it is: one connection to an address that the caller found fit, and no other; no redirection is followed.

use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};

use crate::api::RedisMode;
use crate::limits;
use crate::observed::Endpoint;

/// What is asked, and as whom.
#[derive(Clone)]
pub struct Question {
    /// What it should be.
    pub mode: RedisMode,
    /// Name that the Sentinels know the master by.
    pub master: String,
    /// User; none is Redis' `default`.
    pub user: Option<String>,
    /// Password of what is asked: of the Sentinels where it is they.
    pub password: Option<String>,
}

/// Asks one address, which the spec calls `name`.
pub async fn ask(address: SocketAddr, name: &str, question: &Question) -> Endpoint {
    let name = name.to_owned();
    match answer(address, &name, question).await {
        Ok(endpoint) => endpoint,
        Err(error) if refuses(&error) => Endpoint::WrongPassword { address: name },
        Err(error) => Endpoint::Unreachable { address: name, why: why(&error) },
    }
}

async fn answer(address: SocketAddr, name: &str, question: &Question) -> Result<Endpoint, RedisError> {
    let mut connection = connect(address, question).await?;
    if question.mode == RedisMode::Sentinel {
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(&question.master);
        let master: Option<Vec<String>> = command.query_async(&mut connection).await?;
        return Ok(if master.is_some() { Endpoint::Answers } else { Endpoint::NoMaster { name: question.master.clone() } });
    }
    redis::cmd("PING").query_async::<String>(&mut connection).await?;
    // A managed Redis may keep INFO from its users; then it answers, and what it is is not known.
    let Some(is_cluster) = is_cluster(&mut connection).await? else { return Ok(Endpoint::Answers) };
    Ok(match (question.mode, is_cluster) {
        (RedisMode::Cluster, false) => Endpoint::NoCluster { address: name.to_owned() },
        (RedisMode::Single, true) => Endpoint::IsCluster { address: name.to_owned() },
        (RedisMode::Cluster, true) if !serves(&mut connection).await? => Endpoint::ClusterDown { address: name.to_owned() },
        _ => Endpoint::Answers,
    })
}

async fn connect(address: SocketAddr, question: &Question) -> Result<MultiplexedConnection, RedisError> {
    // Its library name tells the Redis nothing that its operator needs, and some do not know the command.
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(password) = &question.password {
        login = login.set_password(password);
        if let Some(user) = &question.user {
            login = login.set_username(user);
        }
    }
    let target = ConnectionAddr::Tcp(address.ip().to_string(), address.port()).into_connection_info()?.set_redis_settings(login);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limits::ENDPOINT_REQUEST))
        .set_response_timeout(Some(limits::ENDPOINT_REQUEST));
    Client::open(target)?.get_multiplexed_async_connection_with_config(&config).await
}

/// `cluster_enabled` of `INFO cluster`; nothing where it may not be asked, or does not say.
async fn is_cluster(connection: &mut MultiplexedConnection) -> Result<Option<bool>, RedisError> {
    let text: String = match redis::cmd("INFO").arg("cluster").query_async(connection).await {
        Ok(text) => text,
        Err(error) if error.code() == Some("NOPERM") => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(text.lines().find_map(|line| line.strip_prefix("cluster_enabled:")).map(|value| value.trim() == "1"))
}

/// `cluster_state` of `CLUSTER INFO`.
async fn serves(connection: &mut MultiplexedConnection) -> Result<bool, RedisError> {
    match redis::cmd("CLUSTER").arg("INFO").query_async::<String>(connection).await {
        Ok(text) => Ok(!text.lines().any(|line| line.trim() == "cluster_state:fail")),
        Err(error) if error.code() == Some("NOPERM") => Ok(true),
        Err(error) => Err(error),
    }
}

fn refuses(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// In words of ours: what it said itself is repeated nowhere.
fn why(error: &RedisError) -> &'static str {
    if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connection_refusal() {
        "refuses the connection"
    } else if error.is_io_error() || error.is_connection_dropped() {
        "the connection breaks"
    } else {
        "answers what no Redis answers"
    }
}

#[cfg(test)]
mod tests;
