//! Signing in to providers of models by OAuth: a list of definitions, and one way to do what any of them says.
//!
//! A token goes from its provider into the [`super::SecretStore`] and from there to that provider, and to a server's
//! vault when the person chose so; never into a page, a link, a log or an event. It goes back only to the endpoint
//! that gave it, whatever a definition says later.

mod answer;
mod browser;
mod definition;
mod definitions;
mod device;
mod endpoint;
mod endpoints;
mod hand_over;
mod kept;
mod sign_ins;

pub use answer::{OAuthProblem, ProviderSignInError};
pub use browser::RETURN_ADDRESS;
pub use definition::{
    Definition, DefinitionError, DefinitionId, Flow, OAuth, OnDevice, Terms, TokenRequest, VaultEntry,
};
pub use definitions::Definitions;
pub use device::UserCode;
pub use endpoint::Endpoint;
pub use kept::Handed;
pub use sign_ins::{Revoked, SignInState, SignInStep, SignIns, Standing};
