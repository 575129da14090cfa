//! One order: the account, the proof that each name leads here, and the certificate.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};

use crate::acme::Plan;
use crate::acme::exchange::Exchange;
use crate::acme::store::Store;
use crate::tls::proofs::{NoProof, Proofs, Shown};

/// Why nothing came of an order.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoOrder {
    /// The account cannot be read or written.
    #[error("the account at the authority, in {path}, cannot be read or written: {source}", path = path.display())]
    Account { path: PathBuf, source: io::Error },
    /// It says nothing of any name.
    #[error("the authority takes the order for invalid, and does not say why")]
    Invalid,
    /// The authority says no, or nothing that is understood, or cannot be reached.
    #[error("{}", said(_0))]
    Authority(#[from] Error),
    /// It cannot be shown that a name leads here.
    #[error("`{name}`: {source}")]
    NoProof { name: String, source: NoProof },
    /// The authority does not look for what the hub can show.
    #[error("`{0}`: the authority takes no proof by TLS (tls-alpn-01), and the hub has no other")]
    NoChallenge(String),
    /// It has looked, and not found it.
    #[error(
        "`{name}` is not proved: {why}; the authority connects to port 443 of it, which has to lead to this hub without TLS ending before"
    )]
    NotProved { name: String, why: String },
}

/// Gets a certificate: gives its key, and behind it the certificate with those that lead to an authority, as PEM.
pub(super) async fn order(plan: &Plan, store: &Store, proofs: &Arc<Proofs>) -> Result<String, NoOrder> {
    let account = account(plan, store).await?;
    let names: Vec<_> = plan.names.iter().cloned().map(Identifier::Dns).collect();
    let begun = account.new_order(&NewOrder::new(&names)).await;
    if let Err(Error::Api(problem)) = &begun
        && problem.r#type.as_deref() == Some(NO_ACCOUNT)
    {
        // The next try makes another.
        store.forget_account().map_err(|source| unkept(store, source))?;
    }
    let mut order = begun?;
    let _shown = prove(&mut order, proofs).await?;
    let proved = order.poll_ready(&RETRIES).await;
    if !matches!(proved, Ok(OrderStatus::Ready)) {
        return Err(match (not_proved(&mut order).await, proved) {
            (Some(why), _) => why,
            (None, Err(error)) => error.into(),
            (None, Ok(_)) => NoOrder::Invalid,
        });
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&RETRIES).await?;
    Ok(format!("{key}{chain}"))
}

async fn account(plan: &Plan, store: &Store) -> Result<Account, NoOrder> {
    let builder = || Account::builder_with_http(Box::new(Exchange { trust: plan.trust.clone() }));
    let kept = store.read_account().map_err(|source| unkept(store, source))?;
    // Another takes the place of one that is damaged.
    let kept = kept.and_then(|content| serde_json::from_slice::<AccountCredentials>(&content).ok());
    if let Some(credentials) = kept {
        return Ok(builder().from_credentials(credentials).await?);
    }
    let contact = plan.contact.as_ref().map(|contact| format!("mailto:{contact}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wish = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder().create(&wish, plan.directory.clone(), None).await?;
    let content = serde_json::to_vec(&credentials).map_err(Error::from)?;
    store.keep_account(&content).map_err(|source| unkept(store, source))?;
    Ok(account)
}

fn unkept(store: &Store, source: io::Error) -> NoOrder {
    NoOrder::Account { path: store.account(), source }
}

/// Shows that each name leads here, and has the authority look.
async fn prove(order: &mut Order, proofs: &Arc<Proofs>) -> Result<Vec<Shown>, NoOrder> {
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // What was proved lately need not be again.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(NoOrder::NoChallenge(name));
        };
        let digest = challenge.key_authorization().digest();
        let proof = proofs.show(&name, digest.as_ref());
        shown.push(proof.map_err(|source| NoOrder::NoProof { name, source })?);
        challenge.set_ready().await?;
    }
    Ok(shown)
}

/// What the authority has found of the first name that it does not believe.
async fn not_proved(order: &mut Order) -> Option<NoOrder> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        authorization.refresh().await.ok()?;
        let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = problem {
            let name = authorization.identifier().to_string();
            let why = problem.detail.clone().or_else(|| problem.r#type.clone()).unwrap_or_default();
            return Some(NoOrder::NotProved { name, why: why.escape_debug().to_string() });
        }
    }
    None
}

/// What is said of an error, without what only its makers understand.
fn said(error: &Error) -> String {
    match error {
        Error::Api(problem) => {
            let why = problem.detail.as_deref().or(problem.r#type.as_deref()).unwrap_or("no");
            format!("the authority says: {}", why.escape_debug())
        }
        Error::Json(_) => {
            "what the authority says is not understood: is its directory at this address?".into()
        }
        Error::Timeout(_) => "the authority has not decided in time".into(),
        other => format!("the authority cannot be asked: {other}"),
    }
}

/// What an authority says that does not know an account (any more).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
/// How long the authority may take to look, and to sign.
const RETRIES: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
