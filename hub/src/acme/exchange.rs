//! How the authority is asked: one bounded request at a time, to addresses of its own and no others.

use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::fetch::{Address, Trust};

/// What asks.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// Whom it believes, if not those whom the system trusts.
    pub(super) trust: Option<Trust>,
}

/// Why an address is not asked.
#[derive(Debug, thiserror::Error)]
#[error("the authority names an address without https, which is not asked")]
struct Open;

impl HttpClient for Exchange {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let trust = self.trust.clone();
        Box::pin(async move {
            let other = |error: Box<dyn std::error::Error + Send + Sync>| Error::Other(error);
            let address: Address = request.uri().to_string().parse().map_err(|bad| other(Box::new(bad)))?;
            // What comes is a certificate's way to the hub: nobody may change it.
            if address.is_open_to_others() {
                return Err(other(Box::new(Open)));
            }
            let request = request.map(Body::new);
            let answer = address.exchange(request, trust, ANSWER_BYTES_MAX, PATIENCE).await;
            let answer = answer.map_err(|error| other(Box::new(error)))?;
            Ok(BytesResponse::from(answer.map(Body::from)))
        })
    }
}

/// Chains and lists of what an authority can do have less.
const ANSWER_BYTES_MAX: usize = 262_144;
const PATIENCE: Duration = Duration::from_secs(30);
