//! A wrapper that breaks things on purpose, so that tests can see them counted.
/// What to break, and how often.
#[derive(Copy, Clone, Debug, Default)]
pub struct Faults {}
/// A collector that drops, duplicates, reorders or stalls what another one gives.
pub struct Faulty {}
