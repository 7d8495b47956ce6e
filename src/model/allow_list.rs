//! The API client allow list: the addresses that a client may call from.

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;
use std::net::IpAddr;

/// CIDR blocks and addresses, in the form in which they were written. An empty list admits any address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AllowList(Vec<String>);

impl AllowList {
    /// The list of these entries.
    pub fn new(entries: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(entries.into_iter().map(Into::into).collect())
    }

    /// The entries, as they were written.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.0
    }

    /// Whether the list admits a caller at `address`. `None`, an address that the platform does not give, is admitted
    /// only if any address is.
    #[must_use]
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let address = address.map(|address| address.to_canonical());
        self.0.is_empty() || self.0.iter().filter_map(|entry| block(entry)).any(|block| covers(&block, address))
    }

    /// The entries that cannot be read. They admit no address.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|entry| block(entry).is_none()).map(String::as_str)
    }
}

/// The block that an entry names; a bare address is a host block.
fn block(entry: &str) -> Option<IpNet> {
    let Some((address, prefix)) = entry.split_once('/') else {
        return entry.parse::<IpAddr>().ok().map(IpNet::from);
    };
    // A prefix length is read like an address: without a sign and without a leading zero.
    let length: u8 = prefix.parse().ok().filter(|length: &u8| length.to_string() == prefix)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

/// Whether `block` contains `address`. IPv4-mapped addresses are compared as IPv4. The vendor documents `0.0.0.0/0` as
/// any address, IPv6 included.
fn covers(block: &IpNet, address: Option<IpAddr>) -> bool {
    let mapped = match block {
        IpNet::V4(v4) if v4.prefix_len() == 0 => return true,
        IpNet::V4(_) => None,
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
    };
    let block = mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(*block, IpNet::from);
    address.is_some_and(|address| block.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(entries: &[&str], address: &str) -> bool {
        AllowList::new(entries.iter().copied()).admits(address.parse().ok())
    }

    #[test]
    fn an_empty_list_admits_any_address() {
        assert!(admits(&[], "203.0.113.7"));
        assert!(AllowList::default().admits(None));
    }

    #[test]
    fn a_block_admits_only_its_own_addresses() {
        assert!(admits(&["198.51.100.0/24", "203.0.113.0/24"], "203.0.113.255"));
        assert!(!admits(&["203.0.113.0/24"], "203.0.114.0"));
        assert!(admits(&["2001:db8::/32"], "2001:db8:ffff::1"));
        assert!(!admits(&["2001:db8::/32"], "2001:db9::1"));
    }

    #[test]
    fn a_bare_address_is_a_host_block() {
        assert!(admits(&["203.0.113.7"], "203.0.113.7"));
        assert!(!admits(&["203.0.113.7"], "203.0.113.8"));
        assert!(admits(&["2001:db8::1"], "2001:db8::1"));
    }

    #[test]
    fn host_bits_in_a_block_are_ignored() {
        assert!(admits(&["203.0.113.77/24"], "203.0.113.7"));
    }

    #[test]
    fn the_block_of_all_ipv4_addresses_admits_ipv6_and_unknown_addresses() {
        assert!(admits(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(AllowList::new(["0.0.0.0/0"]).admits(None));
    }

    #[test]
    fn the_block_of_all_ipv6_addresses_admits_only_ipv6() {
        assert!(admits(&["::/0"], "2001:db8::1"));
        assert!(!admits(&["::/0"], "203.0.113.7"));
    }

    #[test]
    fn ipv4_mapped_addresses_are_compared_as_ipv4_on_both_sides() {
        assert!(admits(&["203.0.113.0/24"], "::ffff:203.0.113.7"));
        assert!(admits(&["::ffff:203.0.113.0/120"], "203.0.113.7"));
        assert!(admits(&["::ffff:203.0.113.7"], "203.0.113.7"));
        assert!(!admits(&["::ffff:203.0.113.0/120"], "203.0.114.7"));
    }

    #[test]
    fn an_entry_that_cannot_be_read_admits_no_address_and_is_named() {
        let list = AllowList::new(["203.0.113.0/33", "anywhere", "", "198.51.100.7"]);
        assert!(!list.admits("203.0.113.7".parse().ok()));
        assert!(list.admits("198.51.100.7".parse().ok()));
        assert_eq!(list.unreadable().collect::<Vec<_>>(), ["203.0.113.0/33", "anywhere", ""]);
    }

    #[test]
    fn a_list_of_other_blocks_refuses_an_unknown_address() {
        assert!(!AllowList::new(["203.0.113.0/24"]).admits(None));
    }
}
