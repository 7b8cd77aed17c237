use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs;

use super::cache::Mark;
use super::disk::{DiskError, Root};

/// Folders of value files as they were last listed, so that reading many values of one
/// folder lists it once and not each time.
///
/// A folder that changed twice within one tick of the file system's clock looks as
/// before. So a listing is a guess at where a file is: whoever does not find it there
/// lists the folder afresh, and nothing that was found is taken for unchanged.
#[derive(Default)]
pub(super) struct Listings(RwLock<HashMap<String, Arc<Listing>>>);

struct Listing {
    mark: Mark,
    /// File names, sorted.
    files: Vec<String>,
}

impl Listings {
    /// The names in a folder that begin with `start`, sorted; none without the folder.
    pub(super) fn beginning(
        &self,
        root: &Root,
        folder: &str,
        start: &str,
    ) -> Result<Vec<String>, DiskError> {
        let dir = match root.open_dir(folder) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            dir => dir?,
        };
        let stat = fs::fstat(&dir).map_err(|e| DiskError::io(root.full(folder), "look at", e))?;
        let mark = Mark::of(&stat);
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(folder).filter(|l| l.mark == mark).cloned();
        drop(kept);
        let listing = match known {
            Some(listing) => listing,
            None => {
                let entries = root.list(folder)?;
                let mut files: Vec<String> = entries.into_iter().map(|e| e.name).collect();
                files.sort_unstable();
                let listing = Arc::new(Listing { mark, files });
                let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
                kept.insert(folder.to_owned(), Arc::clone(&listing));
                listing
            }
        };
        let from = listing.files.partition_point(|file| file.as_str() < start);
        let rest = listing.files.get(from..).unwrap_or_default();
        let names = rest.iter().take_while(|file| file.starts_with(start));
        Ok(names.cloned().collect())
    }
}
