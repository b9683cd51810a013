//! The options about AS numbers; every command that filters has them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use flowcore::Result;
use flowresolve::Networks;
use flowresolve::asn::{Loader, MOST_COMPLAINTS, Options, Source};

use crate::exit::complain;

/// Which AS announces which addresses.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct AsnArgs {
    /// Read from FILE which AS announces which addresses; then filters know `src asn N`, and conns and hosts show it
    ///
    /// Kinds of file, told apart by their content: CAIDA pfx2as, IPtoASN and other lines of prefix or range and AS; MRT
    /// dumps of routing tables; MaxMind DB. They may be compressed (gzip, xz, zstd). May be given several times: the
    /// longest match of all counts, of equal ones the first.
    #[arg(long = "asn", value_name = "FILE")]
    pub tables: Vec<PathBuf>,

    /// Private addresses belong to no AS; else to 65535 where no table says otherwise
    #[arg(long, requires = "tables")]
    pub no_private_asn: bool,
}

impl AsnArgs {
    /// The networks of all tables; `None` without a table. Damage goes to standard error, however `quiet`.
    ///
    /// # Errors
    /// If a file cannot be read, or is no table.
    pub fn load(&self, verbose: bool) -> Result<Option<Arc<Networks>>> {
        if self.tables.is_empty() {
            return Ok(None);
        }
        let mut loader = Loader::new(Options { private: !self.no_private_asn });
        for path in &self.tables {
            let Source { name, kind, networks, damaged, complaints, .. } = loader.file(path)?;
            complaints.iter().for_each(|complaint| complain(complaint));
            if *damaged > 0 {
                let more = if *damaged > MOST_COMPLAINTS as u64 { ", the first of which are above" } else { "" };
                complain(&format!("{name}: {damaged} damaged entries left out{more}; {networks} networks read"));
            } else if verbose {
                complain(&format!("{name}: {kind}, {networks} networks read"));
            }
        }
        let networks = loader.finish();
        if verbose {
            complain(&format!("{} KiB hold the networks", networks.memory_bytes() / 1024));
        }
        Ok(Some(Arc::new(networks)))
    }
}
