//! What is asked of a completion: read once, so that rules look at the very values that leave.

use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::json::unquote;
use crate::mcp::{Method, RawJson, pointer};

/// The argument being typed, and the values filled in before. Nothing else that a client puts beside them is kept.
pub(super) struct Completion {
    /// Name of the argument being typed.
    typed: String,
    /// The same as its JSON token.
    name: RawJson,
    value: RawJson,
    /// Without the argument being typed; `None` if the client sent no values.
    filled: Option<Vec<(String, RawJson)>>,
}

impl Completion {
    /// That of `operation`; `None` for any other method.
    ///
    /// # Errors
    /// -32602 for what is not of the shape the protocol gives it.
    pub(super) fn of(operation: &Operation) -> Result<Option<Self>, ProtocolError> {
        if operation.method != Method::Complete {
            return Ok(None);
        }
        let broken = |why| ProtocolError::invalid_params(why).with_id(Some(&operation.id));
        let argument = |key| operation.params.argument.as_ref().and_then(|argument| pointer::at(argument, key));
        let shape = || broken("argument is not a name and a value");
        let (name, value) = (argument("/name").ok_or_else(shape)?, argument("/value").ok_or_else(shape)?);
        let typed = unquote(name.as_str()).map_err(|_| shape())?.into_owned();
        let context = operation.params.context.as_ref().and_then(|context| pointer::at(context, "/arguments"));
        let filled = context.map(|context| {
            let mut members = Vec::new();
            let walked = context.scanner().object(|scan, key| {
                let value = context.part(scan.value()?);
                if *key != *typed {
                    members.push((key.to_string(), value));
                }
                Ok(())
            });
            walked.map(|_| members).map_err(|_| broken("context.arguments is not an object"))
        });
        Ok(Some(Self { typed, name, value, filled: filled.transpose()? }))
    }

    /// The arguments that rules look at.
    pub(super) fn arguments(&self) -> RawJson {
        let mut members = self.filled.clone().unwrap_or_default();
        members.push((self.typed.clone(), self.value.clone()));
        RawJson::object(&members)
    }

    /// `argument` and `context` as they leave.
    pub(super) fn into_params(self) -> (RawJson, Option<RawJson>) {
        let argument = RawJson::object(&[("name".to_owned(), self.name), ("value".to_owned(), self.value)]);
        let context = self.filled.map(|filled| RawJson::object(&[("arguments".to_owned(), RawJson::object(&filled))]));
        (argument, context)
    }
}
