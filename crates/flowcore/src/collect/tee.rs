//! A wrapper that lets somebody else look on.
/// A collector that shows every batch to a closure as well.
pub struct Tee {}
