//! Names of hosts: their normal form, and what is none.

use flowcore::Addr;

/// A name as names are compared and given: without regard to case (RFC 4343) and to the dot of the root. Only ASCII has
/// case here.
pub(crate) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `name` reads as an address: as one that is written out, or as nothing but numbers between dots, of which
/// inet_aton(3) makes an address too (`10`, `0x7f.1`).
pub(crate) fn is_numeric(name: &str) -> bool {
    let is_number = |part: &str| {
        let hexadecimal = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        match hexadecimal {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    // An interface may follow a link-local address.
    name.trim_end_matches('.').split('.').all(is_number)
        || name.split('%').next().is_some_and(|bare| bare.parse::<Addr>().is_ok())
}

/// Whether a name that somebody else chose is one that a host can have: letters, digits, `-`, `_` and dots, no `-` in
/// front, as the C library takes answers (`res_hnok`), and no address, as OpenSSH does.
pub(crate) fn is_of_a_host(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !is_numeric(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_compared_equal_are_given_equal() {
        assert_eq!(normal("WEB.Example.com."), "web.example.com");
        assert_eq!(normal("Bücher.ÄRZTE."), "bücher.Ärzte");
        assert_eq!(normal("."), "");
    }

    #[test]
    fn what_reads_as_an_address_is_no_name() {
        for numeric in ["10.9.9.9", "10.9.9.9.", "10.9.9.999", "167774473", "0x7f.1", "0X7F000001", "::1", "fe80::1%lo"]
        {
            assert!(is_numeric(numeric), "{numeric}");
        }
        for name in ["rack.7", "10.9.9.9.example", "7up", "0xg", "ten", "a.1.b"] {
            assert!(!is_numeric(name) && is_of_a_host(name), "{name}");
        }
    }

    #[test]
    fn hosts_have_no_names_of_other_letters() {
        for odd in ["", "(total)", "-n.example", "a b", "a\\027[31mb", "7.0/26.example", "bücher", "10.9.9.9"] {
            assert!(!is_of_a_host(odd), "{odd}");
        }
        assert!(is_of_a_host("_ldap.a-1.example"));
    }
}
