//! What a source offers and what a part of a pipeline needs.

use bitflags::bitflags;

bitflags! {
    /// Kinds of fact that events may carry. A pipeline is built only if its parts' needs are offered.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Features: u32 {
        /// One event per packet.
        const PACKETS = 1;
        /// Captured bytes travel with the events.
        const FRAMES = 2;
        /// TCP headers are decoded into the events.
        const TCP_SEGMENTS = 4;
        /// VLANs, labels and tunnels are known.
        const LAYERS = 8;
        /// Facts about whole flows (a filter that uses them runs behind the table).
        const FLOWS = 16;
        /// Kernel socket samples.
        const SOCKETS = 32;
        /// The owning process is known.
        const PROCESS = 64;
        /// Link addresses, time to live and type of service are known
        /// ([`DecodeOptions::headers`](crate::wire::DecodeOptions)).
        const HEADERS = 128;
        /// Which networks announce an address is known.
        const NETWORKS = 256;
    }
}

impl Features {
    /// What is missing, in words, for an error message.
    pub fn describe(self) -> String {
        let words: Vec<&str> = self
            .iter_names()
            .map(|(name, _)| match name {
                "PACKETS" => "single packets",
                "FRAMES" => "captured bytes",
                "TCP_SEGMENTS" => "TCP headers",
                "LAYERS" => "link layers",
                "FLOWS" => "flow facts",
                "SOCKETS" => "socket samples",
                "HEADERS" => "link addresses and IP header fields",
                "NETWORKS" => "AS numbers",
                _ => "processes",
            })
            .collect();
        words.join(", ")
    }
}
