//! Network namespaces that come and go while sockets are polled.

use std::io;

use flowcore::{Error, Result};

use super::Sockets;
use super::place::Place;

impl Sockets {
    /// Opens the namespaces that were made since the poll before, and closes those that are gone: without that they would
    /// not go.
    pub(super) fn look_for_namespaces(&mut self) -> Result<()> {
        let (namespaces, _) = self.options.netns.list()?;
        for place in &mut self.places {
            let is_there = namespaces.iter().any(|namespace| namespace.inode == place.namespace.inode);
            // A poll later, for the last notices.
            if std::mem::replace(&mut place.is_gone, !is_there) && !is_there {
                (place.channel, place.notices, place.statistics) = (None, None, None);
                (place.raw, place.protocols) = ([None, None], None);
            }
        }
        for namespace in namespaces {
            let is_open = |place: &Place| place.namespace.inode == namespace.inode && place.channel.is_some();
            if self.places.iter().any(is_open) || self.closed.contains(&namespace.inode) {
                continue;
            }
            let inode = namespace.inode;
            // Samples have 16 bits for its index.
            let opened = match self.places.len() > usize::from(u16::MAX) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Place::open(namespace, &self.options),
            };
            match opened {
                Ok(mut place) => {
                    // All its connections were opened since the first poll.
                    place.opened_before = Some(0);
                    if let Some(notices) = &place.notices {
                        let watched = self.ready.watch(notices);
                        watched.map_err(|error| Error::io("sock_diag: cannot wait for notices", error))?;
                    }
                    self.places.push(place);
                }
                // Gone already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => {
                    self.closed.insert(inode);
                    self.counts.refused += self.dumps.len() as u64;
                }
            }
        }
        Ok(())
    }
}
