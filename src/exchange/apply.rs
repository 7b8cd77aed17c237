use super::epoch::{Genuine, Proved, Under};
use super::error::ExchangeError;
use super::memory::{Memory, Peer};
use super::weigh::{Standing, Weighed, standing, weigh};
use crate::bundle::Bundle;
use crate::model::Timestamp;
use crate::vault::{Committed, Durability, Vault};

/// A bundle that was applied.
pub struct Applied {
    /// Whether it is the first time.
    pub standing: Standing,
    /// What it meant.
    pub weighed: Weighed,
    /// What became of the git commit.
    pub git: Committed,
}

/// Applies a bundle: all of it in one transaction and one commit, or nothing. Applying
/// it a second time changes nothing.
pub fn apply(
    vault: &Vault,
    memory: &mut Memory,
    proved: &Proved,
    now: Timestamp,
    with_git: bool,
) -> Result<Applied, ExchangeError> {
    let bundle = &proved.bundle;
    let header = bundle.header();
    match &proved.under {
        Under::Vault | Under::Former(_, Genuine::Said) => {}
        Under::Former(former, Genuine::NobodyKnows) => {
            return Err(ExchangeError::FormerEpoch {
                epoch: former.epoch,
                here: former.present,
            });
        }
        Under::Newer(newer) => return Err(ExchangeError::NewerEpoch { epoch: newer.epoch }),
    }
    // Nobody else writes between the look and the deed.
    let mut tx = vault.begin("bundle apply", now)?;
    memory.reload(vault)?;
    let standing = standing(memory, header)?;
    if !with_git {
        tx.without_git();
    }
    tx.all_or_none();
    let weighed = weigh(vault, proved, memory)?;
    for (name, id, span) in &weighed.values {
        tx.add_file(name, id, proved.file(vault, name, id, *span)?)?;
    }
    for outcome in &weighed.outcomes {
        tx.put(outcome.after.clone());
    }
    let durability = match weighed.outcomes.len() {
        0..16 => Durability::Each,
        _ => Durability::Bulk,
    };
    let done = tx.commit(&message(bundle, &weighed), durability)?;
    // After the vault: a crash in between makes the next run of the same bundle a
    // repetition, which changes nothing.
    Memory::keep_peer(vault, &header.sender, &weighed.news)?;
    memory.peers.insert(
        header.sender.clone(),
        Peer {
            name: header.name.clone(),
            sequence: header.sequence,
            bundle: header.bundle.clone(),
            own: memory.sequence,
        },
    );
    memory.save(vault)?;
    Ok(Applied {
        standing,
        weighed,
        git: done.git,
    })
}

/// The commit's message: names and labels, never values.
fn message(bundle: &Bundle, weighed: &Weighed) -> String {
    let header = bundle.header();
    let mut out = format!(
        "bundle: number {} of {}\n\n",
        header.sequence,
        crate::model::Escaped(&header.name)
    );
    for outcome in &weighed.outcomes {
        out.push_str(&format!("{}\n", outcome.name));
    }
    out
}
