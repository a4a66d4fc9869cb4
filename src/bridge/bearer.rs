//! What is shown to the gateway.

use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};

use super::Settings;
use super::sign_in::SignIn;
use crate::oauth::Challenge;

/// The token in use, and how to come by another.
pub(super) struct Bearer {
    shown: Mutex<Option<HeaderValue>>,
    /// `None` for a token that was given: it is not the bridge's to replace.
    sign_in: Option<tokio::sync::Mutex<SignIn>>,
}

impl Bearer {
    pub(super) fn new(settings: &Settings) -> Self {
        let given = settings.token.as_ref().and_then(header);
        let sign_in = given.is_none().then(|| tokio::sync::Mutex::new(SignIn::new(settings)));
        Self { shown: Mutex::new(given), sign_in }
    }

    /// The value of `Authorization`.
    pub(super) fn shown(&self) -> Option<HeaderValue> {
        self.shown.lock().clone()
    }

    /// Comes by another token than `refused`, unless somebody else did meanwhile.
    ///
    /// # Errors
    /// What to tell the client.
    pub(super) async fn renew(&self, refused: Option<&HeaderValue>, answer: &HeaderMap) -> Result<(), String> {
        let Some(sign_in) = &self.sign_in else {
            return Err("the gateway does not accept the token: put another into PORTCULLIS_TOKEN".to_owned());
        };
        let mut sign_in = sign_in.lock().await;
        if self.shown.lock().as_ref() != refused {
            return Ok(());
        }
        let token = sign_in.token(Challenge::bearer(answer).as_ref()).await?;
        *self.shown.lock() = header(&token);
        Ok(())
    }
}

fn header(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
