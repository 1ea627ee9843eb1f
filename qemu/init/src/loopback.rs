// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings the loopback network device up, for programs that talk to themselves over localhost.

use rustix::{
    io,
    net::{AddressFamily, SendFlags, SocketType, send, socket},
};

/// `ip link set lo up`. The kernel's answer is not waited for. Protocol 0 is `NETLINK_ROUTE`.
pub fn up() -> io::Result<()> {
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&netlink, &request(), SendFlags::empty())?;
    Ok(())
}

/// `struct nlmsghdr` and `struct ifinfomsg`.
fn request() -> Vec<u8> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    const LOOPBACK_INDEX: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number, sender, address family and device type.
    message.extend([0; 12]);
    for word in [LOOPBACK_INDEX, IFF_UP, IFF_UP] {
        message.extend(word.to_ne_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_request_is_as_long_as_it_says() {
        assert_eq!(super::request().len(), 32);
    }
}
