use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A passphrase, in Unicode normalisation form C so that every keyboard's way of
/// writing the same text opens the same file (crypto.md section 3).
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(strongroom::crypto::Passphrase::new("x"));
/// ```
/// ```compile_fail
/// fn copies<T: Clone>(_: T) {}
/// copies(strongroom::crypto::Passphrase::new("x"));
/// ```
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text as it was typed, without the line end of a prompt.
    ///
    /// The caller's own copy stays the caller's to wipe.
    pub fn new(text: &str) -> Self {
        // NFC makes UTF-8 at most three times as long (Unicode UAX 15), so the
        // buffer never moves and leaves no copy behind.
        let mut nfc = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
        nfc.extend(text.nfc());
        Self(nfc)
    }

    /// Whether there are no characters. Nothing is sealed under such a passphrase.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn expose_secret(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_text_are_one_passphrase() {
        let composed = Passphrase::new("caf\u{e9}");
        let decomposed = Passphrase::new("cafe\u{301}");
        assert_eq!(composed.expose_secret(), "caf\u{e9}".as_bytes());
        assert_eq!(composed.expose_secret(), decomposed.expose_secret());
    }

    #[test]
    fn compatibility_forms_stay_apart() {
        // NFKC would fold these; the format says NFC.
        assert_ne!(
            Passphrase::new("\u{fb01}").expose_secret(),
            Passphrase::new("fi").expose_secret()
        );
    }

    #[test]
    fn the_longest_expansion_fits_the_buffer() {
        let text = "\u{1d160}".repeat(100);
        let capacity = text.len() * 3;
        let passphrase = Passphrase::new(&text);
        assert!(passphrase.0.len() > text.len());
        assert!(passphrase.0.len() <= capacity);
    }
}
