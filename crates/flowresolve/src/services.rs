//! Names of services: what ports are registered for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use flowcore::{Lookup, Protocol, Resolver, Result};

use crate::lines::{Mistakes, lines, nearest, read, words};

/// Names of the services that ports are registered for.
///
/// A registration says what a port is meant for, not what is spoken there.
#[derive(Clone, Debug, Default)]
pub struct Services {
    names: HashMap<(u16, Protocol), Arc<str>>,
}

impl Services {
    /// Those of IANA's registry that are met in daily use, under the names of the registry.
    pub fn builtin() -> Self {
        let mut services = Self::default();
        for &(name, port, protocols) in BUILTIN {
            let name: Arc<str> = name.into();
            for &protocol in protocols {
                services.names.entry((port, protocol)).or_insert_with(|| Arc::clone(&name));
            }
        }
        services
    }

    /// Reads a file in the form of `/etc/services` (services(5)): name, port/protocol, perhaps other names; `#` begins
    /// a comment.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no entry; every such line is named with its number.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read(path)?, &path.display().to_string())
    }

    /// The entries in `text`; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut services = Self::default();
        let mut mistakes = Mistakes::new(origin);
        for (number, line) in lines(text) {
            let mut words = words(line);
            let Some((column, name)) = words.next() else { continue };
            let Some((place, entry)) = words.next() else {
                let behind = column + name.chars().count();
                mistakes.at(number, behind, &format!("`{name}` has no port; expected `NAME PORT/PROTOCOL`"));
                continue;
            };
            let Some((port, protocol)) = entry.split_once('/') else {
                mistakes.at(number, place, &format!("`{entry}` has no protocol; did you mean `{entry}/tcp`?"));
                continue;
            };
            match (port.parse::<u16>(), protocol_named(protocol)) {
                (Ok(port), Some(protocol)) => {
                    services.names.entry((port, protocol)).or_insert_with(|| name.into());
                }
                (Err(_), _) => mistakes.at(number, place, &format!("`{port}` is no port, 0 to 65535")),
                // Protocols without ports of their own (ddp) are in real files.
                (Ok(_), None) => {}
            }
        }
        mistakes.instead_of(services)
    }

    /// The ports of a service by its name; empty if nobody is called so.
    pub fn ports(&self, name: &str) -> Vec<(u16, Protocol)> {
        let mut ports: Vec<_> = self.names.iter().filter(|(_, known)| &***known == name).map(|(&key, _)| key).collect();
        ports.sort_unstable_by_key(|&(port, protocol)| (port, protocol.0));
        ports
    }

    /// The service that is meant by a misspelt name.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names.values().map(|known| &**known))
    }
}

impl Resolver for Services {
    fn service(&self, port: u16, protocol: Protocol) -> Lookup<Arc<str>> {
        self.names.get(&(port, protocol)).map_or(Lookup::Absent, |name| Lookup::Known(Arc::clone(name)))
    }
}

/// A transport protocol by the name that services and rules use.
pub(crate) fn protocol_named(name: &str) -> Option<Protocol> {
    PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, protocol)| protocol)
}

/// Transport protocols that have ports.
pub(crate) const PROTOCOLS: [(&str, Protocol); 5] = [
    ("tcp", Protocol::TCP),
    ("udp", Protocol::UDP),
    ("sctp", Protocol::SCTP),
    ("dccp", Protocol::DCCP),
    ("udplite", Protocol::UDP_LITE),
];

const TCP: &[Protocol] = &[Protocol::TCP];
const UDP: &[Protocol] = &[Protocol::UDP];
const BOTH: &[Protocol] = &[Protocol::TCP, Protocol::UDP];

/// Service Name and Transport Protocol Port Number Registry (RFC 6335): names as registered, with the protocols they
/// are found on.
const BUILTIN: &[(&str, u16, &[Protocol])] = &[
    ("echo", 7, BOTH),
    ("discard", 9, BOTH),
    ("daytime", 13, BOTH),
    ("chargen", 19, BOTH),
    ("ftp-data", 20, TCP),
    ("ftp", 21, TCP),
    ("ssh", 22, TCP),
    ("telnet", 23, TCP),
    ("smtp", 25, TCP),
    ("time", 37, BOTH),
    ("whois", 43, TCP),
    ("tacacs", 49, BOTH),
    ("domain", 53, BOTH),
    ("bootps", 67, UDP),
    ("bootpc", 68, UDP),
    ("tftp", 69, UDP),
    ("gopher", 70, TCP),
    ("finger", 79, TCP),
    ("http", 80, BOTH),
    ("kerberos", 88, BOTH),
    ("pop3", 110, TCP),
    ("sunrpc", 111, BOTH),
    ("auth", 113, TCP),
    ("nntp", 119, TCP),
    ("ntp", 123, UDP),
    ("epmap", 135, BOTH),
    ("netbios-ns", 137, BOTH),
    ("netbios-dgm", 138, BOTH),
    ("netbios-ssn", 139, BOTH),
    ("imap", 143, TCP),
    ("snmp", 161, BOTH),
    ("snmptrap", 162, BOTH),
    ("bgp", 179, TCP),
    ("irc", 194, TCP),
    ("ldap", 389, BOTH),
    ("https", 443, BOTH),
    ("microsoft-ds", 445, BOTH),
    ("kpasswd", 464, BOTH),
    ("submissions", 465, TCP),
    ("isakmp", 500, UDP),
    ("syslog", 514, UDP),
    ("shell", 514, TCP),
    ("printer", 515, TCP),
    ("rip", 520, UDP),
    ("dhcpv6-client", 546, UDP),
    ("dhcpv6-server", 547, UDP),
    ("rtsp", 554, BOTH),
    ("nntps", 563, TCP),
    ("submission", 587, TCP),
    ("ipp", 631, BOTH),
    ("ldaps", 636, TCP),
    ("ldp", 646, BOTH),
    ("domain-s", 853, BOTH),
    ("rsync", 873, TCP),
    ("ftps-data", 989, TCP),
    ("ftps", 990, TCP),
    ("imaps", 993, TCP),
    ("pop3s", 995, TCP),
    ("socks", 1080, TCP),
    ("openvpn", 1194, BOTH),
    ("ms-sql-s", 1433, BOTH),
    ("ms-sql-m", 1434, BOTH),
    ("l2tp", 1701, UDP),
    ("pptp", 1723, TCP),
    ("radius", 1812, BOTH),
    ("radius-acct", 1813, BOTH),
    ("mqtt", 1883, TCP),
    ("ssdp", 1900, UDP),
    ("nfs", 2049, BOTH),
    ("gtp-control", 2123, UDP),
    ("gtp-user", 2152, UDP),
    ("docker", 2375, TCP),
    ("docker-s", 2376, TCP),
    ("etcd-client", 2379, TCP),
    ("etcd-server", 2380, TCP),
    ("iscsi-target", 3260, TCP),
    ("mysql", 3306, TCP),
    ("ms-wbt-server", 3389, BOTH),
    ("stun", 3478, BOTH),
    ("svn", 3690, TCP),
    ("ipsec-nat-t", 4500, UDP),
    ("ipfix", 4739, BOTH),
    ("vxlan", 4789, UDP),
    ("sip", 5060, BOTH),
    ("sips", 5061, TCP),
    ("xmpp-client", 5222, TCP),
    ("xmpp-server", 5269, TCP),
    ("mdns", 5353, UDP),
    ("llmnr", 5355, BOTH),
    ("postgresql", 5432, TCP),
    ("amqps", 5671, TCP),
    ("amqp", 5672, TCP),
    ("coap", 5683, BOTH),
    ("rfb", 5900, TCP),
    ("geneve", 6081, UDP),
    ("sflow", 6343, UDP),
    ("redis", 6379, TCP),
    ("syslog-tls", 6514, TCP),
    ("ircs-u", 6697, TCP),
    ("http-alt", 8080, TCP),
    ("secure-mqtt", 8883, TCP),
    ("git", 9418, TCP),
    ("memcache", 11211, BOTH),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn name(services: &Services, port: u16, protocol: Protocol) -> Option<String> {
        services.service(port, protocol).known().map(|name| name.to_string())
    }

    #[test]
    fn a_port_has_a_name_by_protocol() {
        let services = Services::builtin();
        assert_eq!(name(&services, 514, Protocol::UDP).as_deref(), Some("syslog"));
        assert_eq!(name(&services, 514, Protocol::TCP).as_deref(), Some("shell"));
        assert_eq!(name(&services, 40_000, Protocol::TCP), None);
        assert_eq!(name(&services, 53, Protocol::ICMP), None);
    }

    #[test]
    fn a_service_has_ports_by_name() {
        let services = Services::builtin();
        assert_eq!(services.ports("domain"), [(53, Protocol::TCP), (53, Protocol::UDP)]);
        assert!(services.ports("htps").is_empty());
        assert_eq!(services.nearest("htps"), Some("https"));
    }

    #[test]
    fn a_file_is_read_and_its_wrong_lines_are_named() {
        let text = "http 80/tcp www # web\nrtmp 1/ddp\nmine 4000/udp\n";
        let services = Services::parse(text, "services").unwrap();
        assert_eq!(name(&services, 4000, Protocol::UDP).as_deref(), Some("mine"));
        let error = Services::parse("http\nhttp 80\n\nhttp  80000/tcp\n", "s").unwrap_err();
        assert_eq!(
            error.to_string(),
            "s:1:5: `http` has no port; expected `NAME PORT/PROTOCOL`\n\
             s:2:6: `80` has no protocol; did you mean `80/tcp`?\n\
             s:4:7: `80000` is no port, 0 to 65535"
        );
    }

    #[test]
    fn what_both_say_is_said_as_the_system_says_it() {
        let Ok(theirs) = Services::read(Path::new("/etc/services")) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no /etc/services");
            return;
        };
        let builtin = Services::builtin();
        let mut differences: Vec<(u16, &str, String)> = Vec::new();
        for (&(port, protocol), ours) in &builtin.names {
            differences.extend(
                name(&theirs, port, protocol).filter(|name| **name != **ours).map(|name| (port, &**ours, name)),
            );
        }
        differences.sort();
        // Distributions keep older names for some.
        let older = ["imap", "l2tp", "rip", "sips", "snmptrap"];
        differences.retain(|(_, ours, _)| !older.contains(ours));
        assert_eq!(differences, []);
    }
}
