//! Asking an external Redis how it is: one connection to an address that the caller found fit, and no other; no redirection is followed.

use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};

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
    let login = RedisConnectionInfo::default().set_skip_set_lib_name();
    let target = ConnectionAddr::Tcp(address.ip().to_string(), address.port()).into_connection_info()?.set_redis_settings(login);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limits::ENDPOINT_REQUEST))
        .set_response_timeout(Some(limits::ENDPOINT_REQUEST));
    let mut connection = Client::open(target)?.get_multiplexed_async_connection_with_config(&config).await?;
    // Not left to the library, which takes any error of it for a wrong password, such as that there are too many clients.
    if let Some(password) = &question.password {
        let mut login = redis::cmd("AUTH");
        login.arg(question.user.as_slice()).arg(password);
        login.query_async::<()>(&mut connection).await?;
    }
    Ok(connection)
}

/// `cluster_enabled` of `INFO cluster`; nothing where it may not be asked, or does not say.
async fn is_cluster(connection: &mut MultiplexedConnection) -> Result<Option<bool>, RedisError> {
    let text: String = match redis::cmd("INFO").arg("cluster").query_async(connection).await {
        Ok(text) => text,
        // Renamed, or not for everybody.
        Err(error) if error.code().is_some() && !refuses_to_work(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(text.lines().find_map(|line| line.strip_prefix("cluster_enabled:")).map(|value| value.trim() == "1"))
}

/// `cluster_state` of `CLUSTER INFO`.
async fn serves(connection: &mut MultiplexedConnection) -> Result<bool, RedisError> {
    match redis::cmd("CLUSTER").arg("INFO").query_async::<String>(connection).await {
        Ok(text) => Ok(!text.lines().any(|line| line.trim() == "cluster_state:fail")),
        Err(error) if error.code().is_some() && !refuses_to_work(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// `ERR AUTH ...` is what one says that has no password at all, with which no client of Numaflow's gets in either.
fn refuses(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || (error.code() == Some("ERR") && (detail.contains("AUTH") || detail.contains("'auth'")))
}

/// It answers, and does no work for the moment.
fn refuses_to_work(error: &RedisError) -> bool {
    matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN"))
}

/// In words of ours: what it said itself is repeated nowhere.
fn why(error: &RedisError) -> &'static str {
    if refuses_to_work(error) {
        "answers, and is not ready to work"
    } else if error.code() == Some("ERR") && error.detail().is_some_and(|detail| detail.contains("max number of clients")) {
        "has no room for another client"
    } else if error.code() == Some("DENIED") {
        "is in protected mode, in which it serves only its own machine"
    } else if error.is_timeout() {
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
