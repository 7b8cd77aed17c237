use crate::bundle::{BundleError, HaveError};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::exchange::ExchangeError;
use crate::vault::EpochError;

impl From<BundleError> for CommandError {
    fn from(error: BundleError) -> Self {
        if let BundleError::Plugin(error) = error {
            return error.into();
        }
        let (exit, hint) = match &error {
            e if e.is_newer() => (
                Exit::Unsupported,
                Some("a newer strongroom made this; upgrade to read it"),
            ),
            BundleError::ForSomeoneElse => (
                Exit::NoIdentity,
                Some(
                    "the sender names the receiver's key with --to; yours is on the line `public` of your identity file",
                ),
            ),
            BundleError::Unseal(crate::crypto::UnsealError::WrongPassphrase) => {
                (Exit::NoIdentity, Some("ask the sender for the passphrase"))
            }
            BundleError::Truncated | BundleError::Damaged => (
                Exit::Integrity,
                Some("copy it again from where it was made; nothing of it was used"),
            ),
            BundleError::WrongMac => (
                Exit::Integrity,
                Some("nothing of it was used; ask the sender how it was made"),
            ),
            BundleError::Exists { .. } => (
                Exit::Guard,
                Some("name another file with -o, or move that one away"),
            ),
            BundleError::NotAFile { .. } => (Exit::Unexpected, Some("name the bundle's file")),
            BundleError::Unreliable { .. } => (Exit::Unexpected, Some("use another stick")),
            BundleError::Keys(_) => (
                Exit::Locked,
                Some("unlock it for a while with: strongroom unlock"),
            ),
            BundleError::Encrypt(_) | BundleError::Seal(_) => (Exit::Usage, None),
            e if e.is_integrity() => (
                Exit::Integrity,
                Some("nothing of it was used; ask the sender for another"),
            ),
            _ => (Exit::Unexpected, None),
        };
        let this = Self::from_error(exit, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

impl From<ExchangeError> for CommandError {
    fn from(error: ExchangeError) -> Self {
        let error = match error {
            ExchangeError::Vault(error) => return error.into(),
            ExchangeError::Bundle(error) => return error.into(),
            ExchangeError::Epoch(EpochError::Vault(error)) => return error.into(),
            error => error,
        };
        let (exit, hint) = match &error {
            ExchangeError::OtherVault { .. } => (
                Exit::Integrity,
                "name the vault it is of with -C DIR; or make one of it: --as-new-vault DIR",
            ),
            ExchangeError::OtherKeyring { .. } => (
                Exit::Integrity,
                "the vault's key was changed on one side; bring this clone and the sender's to the same commit by git first",
            ),
            ExchangeError::FormerEpoch { .. } => (
                Exit::Integrity,
                "whoever was removed since has those keys; have the sender read out its fingerprint and give it with --fingerprint, or apply a bundle of this site there and have it made anew",
            ),
            ExchangeError::OtherFingerprint { .. } => (
                Exit::Integrity,
                "it is not the one that the sender made; nothing of it was used",
            ),
            ExchangeError::Epoch(EpochError::NotAMember) => (
                Exit::NoIdentity,
                "you were removed, or added elsewhere; ask a member",
            ),
            ExchangeError::Epoch(EpochError::Unvouched { .. }) => (
                Exit::Integrity,
                "the vault got new keys on both sides, or by a stranger; see the book, \"New keys beyond the gap\"",
            ),
            ExchangeError::Have(HaveError::OtherKeyring { .. }) => (
                Exit::Integrity,
                "it is from before one side got new keys: leave out --have, for a whole bundle",
            ),
            ExchangeError::OwnBundle { .. } => (
                Exit::Integrity,
                "it is for the other site; its answer is a bundle made there",
            ),
            ExchangeError::OldBundle { .. } | ExchangeError::TwoBundles { .. } => (
                Exit::Integrity,
                "apply the sender's newest one; it holds all that older ones do",
            ),
            ExchangeError::Lacking { .. } => (
                Exit::Integrity,
                "send what this clone holds, and have it made anew: strongroom bundle have",
            ),
            ExchangeError::Have(_) => (
                Exit::Integrity,
                "have it made anew on the other side: strongroom bundle have",
            ),
            ExchangeError::Blocked { .. } => (
                Exit::Integrity,
                "see what else is wrong with: strongroom fsck; or send a part of the vault: bundle create PREFIX",
            ),
            ExchangeError::ForNewcomer => (Exit::Guard, "make a vault of it: --as-new-vault DIR"),
            ExchangeError::ForMembers => (
                Exit::Guard,
                "apply it in a clone of its vault: strongroom bundle apply FILE",
            ),
            ExchangeError::Nothing => (Exit::NotFound, "see what there is with: strongroom ls"),
            ExchangeError::NotEmpty(_) => (Exit::Guard, "name a new directory"),
            ExchangeError::Keys(_) => (
                Exit::Locked,
                "unlock it for a while with: strongroom unlock",
            ),
            e if e.is_integrity() => (
                Exit::Integrity,
                "nothing of it was used; ask the sender for another",
            ),
            _ => return Self::from_error(Exit::Unexpected, error),
        };
        Self::from_error(exit, error).hint(hint)
    }
}
