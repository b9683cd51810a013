//! From a collector through the flow table to analyzers and reporters.
