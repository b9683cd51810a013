//! Names of hosts.

/// A name as names are compared and given: without regard to case (RFC 4343) and to the dot of the root. Only ASCII has
/// case here.
pub(crate) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
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
}
