//! Whether a modality is this very server, whose own DICOM port knows no labels. What it answers would be everybody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use serde_json::Value;

use super::Asked;
use crate::host::HostError;
use crate::overrides::core_call;

/// Whether queries to this modality come back to the server that sends them.
pub(super) fn is_this_server(asked: &Asked<'_>, modality: &str) -> Result<bool, HostError> {
    let Some(own_port) = asked.context.dicom_port else { return Ok(false) };
    let place = core_call::path(&format!("/modalities/{modality}/configuration"));
    let settings = asked.context.host.get(&place)?;
    let settings: Value = crate::host::read_answer(&settings)?;
    let host = settings.get("Host").and_then(Value::as_str).ok_or(HostError::PLUGIN)?;
    let port = settings.get("Port").and_then(Value::as_u64).ok_or(HostError::PLUGIN)?;
    Ok(port == u64::from(own_port) && is_this_machine(host, own_port))
}

/// Whether a name or address stands for this machine. The server is about to look it up, too.
fn is_this_machine(host: &str, port: u16) -> bool {
    let addresses = (host, port).to_socket_addrs().into_iter().flatten();
    addresses.map(|address| SocketAddr::new(address.ip().to_canonical(), port)).any(|address| {
        let ip = address.ip();
        ip.is_loopback() || ip.is_unspecified() || address_towards(address) == Some(ip)
    })
}

/// The address of this machine that another one would be spoken to from. Nothing is sent.
fn address_towards(other: SocketAddr) -> Option<IpAddr> {
    let any = if other.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(other).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_each_of_its_addresses() {
        for host in ["127.0.0.1", "127.1.2.3", "localhost", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(host, 4242), "{host}");
        }
        // The one that it has in its network, if it is in one.
        if let Some(own) = address_towards("192.0.2.1:4242".parse().unwrap()) {
            assert!(is_this_machine(&own.to_string(), 4242), "{own}");
        }
        for host in ["192.0.2.1", "198.51.100.7", "2001:db8::1", "nowhere.invalid", ""] {
            assert!(!is_this_machine(host, 4242), "{host}");
        }
    }
}
