//! Strategies as a person names them, and the questions of `interactive`.

use clap::ValueEnum;

use super::context::Context;
use super::error::CommandError;
use crate::model::{Conflict, SecretName, Strategy};
use crate::plan::{Note, NoteKind, Plan, Strategies, Waits};

/// What becomes of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnConflict {
    /// It waits for a person
    Hold,
    /// The vault's side wins
    Ours,
    /// The remote's side wins
    Theirs,
    /// The version made last wins, if that is beyond doubt
    Newest,
    /// Ask on the terminal; elsewhere it waits
    Interactive,
    /// Stop before anything is written
    Fail,
}

impl OnConflict {
    /// Reads the word that a saved plan has.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::from_str(word, false).ok()
    }
}

impl From<OnConflict> for Strategy {
    fn from(word: OnConflict) -> Self {
        match word {
            OnConflict::Hold => Self::Hold,
            OnConflict::Ours => Self::Ours,
            OnConflict::Theirs => Self::Theirs,
            OnConflict::Newest => Self::Newest,
            OnConflict::Interactive => Self::Interactive,
            OnConflict::Fail => Self::Fail,
        }
    }
}

/// The conflict that a note says a person is to be asked about.
pub(super) fn asks(note: &Note) -> Option<&Conflict> {
    match &note.kind {
        NoteKind::Waits {
            conflict,
            why: Waits::Asks,
            ..
        } => Some(conflict),
        _ => None,
    }
}

/// Asks about every conflict of a plan whose strategy says so, and puts the answers on
/// record for this run. False if there was nothing to ask, or nobody.
pub(super) fn ask(
    ctx: &Context,
    plan: &Plan,
    strategies: &mut Strategies,
) -> Result<bool, CommandError> {
    let open: Vec<(&SecretName, &Conflict)> = plan
        .notes()
        .filter_map(|(name, note)| Some((name, asks(note)?)))
        .collect();
    if open.is_empty() || !ctx.ui.can_ask() {
        return Ok(false);
    }
    for (name, conflict) in open {
        let question = format!("{name}: {conflict}\n(o)urs, (t)heirs, (n)ewest or (s)kip?");
        let strategy = match ctx.ui.ask(&question)?.as_str() {
            "o" | "ours" => Strategy::Ours,
            "t" | "theirs" => Strategy::Theirs,
            "n" | "newest" => Strategy::Newest,
            _ => Strategy::Hold,
        };
        strategies.answers.insert(conflict.id(name), strategy);
    }
    Ok(true)
}
