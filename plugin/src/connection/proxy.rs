//! `NO_PROXY` for the API server. kube 5.0 compares the list with the proxy's own address instead of the API server's.

use kube::Config;

/// Goes round a proxy that the environment names where `NO_PROXY` names the API server. One that the kubeconfig names is kept, as kubectl does.
pub(super) fn respect_no_proxy(config: &mut Config) {
    let Some(proxy) = &config.proxy_url else { return };
    let variable = |upper: &str, lower: &str| std::env::var(upper).or_else(|_| std::env::var(lower)).unwrap_or_default();
    let from_environment = variable("HTTPS_PROXY", "https_proxy").parse::<http::Uri>().is_ok_and(|uri| &uri == proxy);
    let host = config.cluster_url.host().unwrap_or_default().to_owned();
    if from_environment && is_local_or_named(&host, &variable("NO_PROXY", "no_proxy")) {
        config.proxy_url = None;
    }
}

fn is_local_or_named(host: &str, list: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>().ok();
    // Go's http.ProxyFromEnvironment never uses a proxy for these.
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some((network, bits)), Some(address)) = (entry.split_once('/'), address) {
            return within(address, network, bits).unwrap_or(false);
        }
        let entry = entry.rsplit_once(':').map_or(entry, |(name, port)| if port.parse::<u16>().is_ok() { name } else { entry });
        let domain = entry.trim_start_matches('.');
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

fn within(address: std::net::IpAddr, network: &str, bits: &str) -> Option<bool> {
    let bits: u32 = bits.parse().ok()?;
    match (address, network.parse().ok()?) {
        (std::net::IpAddr::V4(address), std::net::IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(u32::from(address) & mask == u32::from(network) & mask)
        }
        (std::net::IpAddr::V6(address), std::net::IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Some(u128::from(address) & mask == u128::from(network) & mask)
        }
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::is_local_or_named;

    #[test]
    fn the_list_names_hosts_domains_and_networks() {
        for (host, list) in [
            ("127.0.0.1", ""),
            ("localhost", ""),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "x, 10.1.2.3"),
            ("api.example.com", ".example.com"),
            ("api.example.com", "example.com:443"),
            ("api.example.com", "*"),
            ("fd00::1", "fd00::/8"),
        ] {
            assert!(is_local_or_named(host, list), "{host} in {list:?}");
        }
        for (host, list) in
            [("11.1.2.3", "10.0.0.0/8"), ("badexample.com", "example.com"), ("api.example.com", ""), ("10.1.2.3", "10.1.2.3/x")]
        {
            assert!(!is_local_or_named(host, list), "{host} in {list:?}");
        }
    }
}
