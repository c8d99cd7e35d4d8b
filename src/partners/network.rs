//! A network in CIDR form, and whether an address is in it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network of IPv4 or IPv6. Addresses of IPv4 that arrive in IPv6 clothes (`::ffff:10.0.0.1`) count as IPv4, in the text
/// of a network too, so that a listener on `[::]` sees the same networks as one on `0.0.0.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Of IPv4.
    V4 {
        /// The first address.
        base: u32,
        /// Leading bits that are fixed, 0 to 32.
        prefix: u32,
    },
    /// Of IPv6.
    V6 {
        /// The first address.
        base: u128,
        /// Leading bits that are fixed, 0 to 128.
        prefix: u32,
    },
}

/// Text that is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// The part after the slash.
    #[error("`{0}` is not a prefix length of this address family")]
    Prefix(String),
    /// An address inside the network where its first one is due.
    #[error("the address is not the network's first one, which is `{0}`")]
    HostBits(Network),
}

impl Network {
    /// Whether the address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::V4 { base, prefix }, IpAddr::V4(a)) => same4(*base, u32::from(a), *prefix),
            (Self::V6 { base, prefix }, IpAddr::V6(a)) => same6(*base, u128::from(a), *prefix),
            (Self::V4 { .. }, IpAddr::V6(_)) | (Self::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }

    /// Whether an address lies in both networks.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4 { base: a, prefix: p }, Self::V4 { base: b, prefix: q }) => {
                same4(*a, *b, *p.min(q))
            }
            (Self::V6 { base: a, prefix: p }, Self::V6 { base: b, prefix: q }) => {
                same6(*a, *b, *p.min(q))
            }
            (Self::V4 { .. }, Self::V6 { .. }) | (Self::V6 { .. }, Self::V4 { .. }) => false,
        }
    }

    /// Whether every address of its family lies in the network.
    pub const fn is_everybody(&self) -> bool {
        matches!(
            self,
            Self::V4 { prefix: 0, .. } | Self::V6 { prefix: 0, .. }
        )
    }
}

/// Whether the first `prefix` bits are the same. Shifting out all bits leaves nothing to differ.
fn same4(a: u32, b: u32, prefix: u32) -> bool {
    (a ^ b)
        .checked_shr(32_u32.saturating_sub(prefix))
        .unwrap_or(0)
        == 0
}

fn same6(a: u128, b: u128, prefix: u32) -> bool {
    (a ^ b)
        .checked_shr(128_u32.saturating_sub(prefix))
        .unwrap_or(0)
        == 0
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = address
            .parse()
            .map_err(|_| NetworkError::Address(address.to_owned()))?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match prefix {
            None => width,
            Some(text) => {
                prefix_length(text, width).ok_or_else(|| NetworkError::Prefix(text.to_owned()))?
            }
        };
        let (network, given) = match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(a)) if bits >= 96 => {
                v4(u32::from(a), bits.saturating_sub(96))
            }
            (IpAddr::V6(a), _) => v6(u128::from(a), bits),
            (IpAddr::V4(a), _) => v4(u32::from(a), bits),
        };
        if given {
            Ok(network)
        } else {
            Err(NetworkError::HostBits(network))
        }
    }
}

/// The network around an address, and whether the address is its first.
fn v4(address: u32, prefix: u32) -> (Network, bool) {
    let mask = u32::MAX
        .checked_shl(32_u32.saturating_sub(prefix))
        .unwrap_or(0);
    let base = address & mask;
    (Network::V4 { base, prefix }, base == address)
}

fn v6(address: u128, prefix: u32) -> (Network, bool) {
    let mask = u128::MAX
        .checked_shl(128_u32.saturating_sub(prefix))
        .unwrap_or(0);
    let base = address & mask;
    (Network::V6 { base, prefix }, base == address)
}

/// Digits only and no leading zero: `+8` and `08` are slips.
fn prefix_length(text: &str, width: u32) -> Option<u32> {
    let plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|bits| plain && *bits <= width)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { base, prefix } => write!(f, "{}/{prefix}", Ipv4Addr::from(*base)),
            Self::V6 { base, prefix } => write!(f, "{}/{prefix}", Ipv6Addr::from(*base)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn has(network: &str, address: &str) -> bool {
        net(network).contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_ends_where_its_prefix_says() {
        assert!(has("10.1.0.0/16", "10.1.255.255") && !has("10.1.0.0/16", "10.2.0.0"));
        assert!(has("10.1.2.4/31", "10.1.2.5") && !has("10.1.2.4/31", "10.1.2.6"));
        assert!(has("10.1.2.3", "10.1.2.3") && !has("10.1.2.3/32", "10.1.2.2"));
        assert!(has("fd00::/8", "fdff::1") && !has("fd00::/8", "fe00::"));
        assert!(has("::1", "::1") && !has("::1/128", "::2"));
        assert!(has("0.0.0.0/0", "255.1.1.1") && has("::/0", "ff00::"));
    }

    #[test]
    fn ipv4_in_ipv6_clothes_is_ipv4() {
        assert!(has("10.0.0.0/8", "::ffff:10.9.9.9") && !has("10.0.0.0/8", "::ffff:11.0.0.1"));
        assert!(has("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(!has("::/0", "10.0.0.1"), "a network of IPv6 admits no IPv4");
        assert!(!has("::/0", "::ffff:10.0.0.1"));
    }

    #[test]
    fn slips_are_refused_and_explained() {
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "010.0.0.0/8",
            " 10.0.0.0/8",
            "localhost",
            "10.0.0.0/-1",
            "[::1]/128",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
        let host = "10.0.0.1/8".parse::<Network>().unwrap_err();
        assert_eq!(host, NetworkError::HostBits(net("10.0.0.0/8")));
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        assert!(net("10.0.0.0/8").overlaps(&net("10.1.0.0/16")));
        assert!(net("10.1.0.0/16").overlaps(&net("10.0.0.0/8")));
        assert!(net("0.0.0.0/0").overlaps(&net("192.0.2.1")));
        assert!(!net("10.0.0.0/9").overlaps(&net("10.128.0.0/9")));
        assert!(!net("::/0").overlaps(&net("10.0.0.0/8")));
        assert!(net("::ffff:10.0.0.0/104").overlaps(&net("10.0.0.0/16")));
    }
}
