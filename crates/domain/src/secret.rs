//! Text that must never be printed, logged or serialised.

use secrecy::{ExposeSecret, SecretString};

/// A provider's key, or a JSON object of a provider's secret fields.
///
/// It has no `Debug`, `Display` or `Serialize`, and its memory is overwritten when
/// it is dropped. [`Secret::expose`] is the one way to the text; whoever calls it
/// puts the text into a header that is marked sensitive, or seals it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of the text, so that no second copy stays behind.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
