/// The operating system gave no random bytes.
///
/// Nothing can be sealed then; there is no weaker source to fall back on
/// (crypto.md section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError;

/// Draws `N` bytes from the operating system, for a salt or a nonce.
///
/// The one seam of this room: whatever needs randomness takes the bytes as an
/// argument from a function that is private to it, and its public wrapper draws
/// them here. So a test can fix a salt, and a release build has no way to.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|_| RandomError)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }
}
