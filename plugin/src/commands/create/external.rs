use clap::Args;
use serde_json::{Value, json};

/// Where an external Redis is, and how clients say who they are.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "An external Redis (--type redis-external)")]
pub struct External {
    /// Address, host:port; several with commas between, or one twice, mean cluster mode
    #[arg(long, value_name = "ADDRESSES")]
    pub url: Option<String>,
    /// Addresses of the Sentinels, host:port, with commas between
    #[arg(long, value_name = "ADDRESSES", requires = "master_name")]
    pub sentinel_url: Option<String>,
    /// Name that the Sentinels know the master by
    #[arg(long, value_name = "NAME", requires = "sentinel_url")]
    pub master_name: Option<String>,
    /// Redis user; `--user` is kubectl's own, a user of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub redis_user: Option<String>,
    /// The Secret of the service's namespace that holds the password, and its key
    #[arg(long, value_name = "SECRET/KEY", value_parser = reference)]
    pub password_secret: Option<Reference>,
    /// The same for the password of the Sentinels
    #[arg(long, value_name = "SECRET/KEY", value_parser = reference)]
    pub sentinel_password_secret: Option<Reference>,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    secret: String,
    key: String,
}

fn reference(text: &str) -> Result<Reference, String> {
    match text.split_once('/') {
        Some((secret, key)) if !secret.is_empty() && !key.is_empty() => Ok(Reference { secret: secret.to_owned(), key: key.to_owned() }),
        _ => Err("write SECRET/KEY".to_owned()),
    }
}

impl External {
    /// `spec.redis.external`, with nothing in it that was not asked for.
    pub fn object(&self) -> Value {
        let secret = |reference: &Reference| json!({ "name": reference.secret, "key": reference.key });
        let mut external = json!({});
        for (field, value) in [
            ("url", self.url.clone().map(Value::from)),
            ("sentinelUrl", self.sentinel_url.clone().map(Value::from)),
            ("masterName", self.master_name.clone().map(Value::from)),
            ("user", self.redis_user.clone().map(Value::from)),
            ("password", self.password_secret.as_ref().map(secret)),
            ("sentinelPassword", self.sentinel_password_secret.as_ref().map(secret)),
        ] {
            if let Some(value) = value {
                external[field] = value;
            }
        }
        external
    }
}
