//! Who may come in and what they may do, put together: authenticators, authorizers, admission.

use std::sync::{Arc, OnceLock};

use corten_apimachinery::Features;
use corten_apiserver::{
    admission,
    authentication::{self, Authenticator, Bearer, TokenAuthenticator, X509},
    authorization::{self, Authorizer, PrivilegedGroups},
    endpoints::RoutesBuilder,
    registry::Store,
};
use corten_base::{Secret, SharedClock, SharedRng, TaskSet};

use crate::{
    admission::catalog,
    authentication::service_account::{self, Issuer, KeyError, PublicKey, SigningKey, TokenVerifier},
    authorization::{node::Node, rbac::Rbac},
    bootstrap,
    caches::Caches,
    rest::{self, kubelets::Kubelets},
};

/// How tokens of service accounts are made and known.
#[derive(Debug, Clone)]
pub struct ServiceAccounts {
    /// Who makes them. Upstream: `--service-account-issuer`.
    pub issuer: String,
    /// The private key that signs, PEM. Upstream: `--service-account-signing-key-file`.
    pub signing_key: Secret,
    /// Further public keys whose tokens are known, PEM, from before a change of keys. Upstream:
    /// `--service-account-key-file`.
    pub further_keys: Vec<String>,
    /// For whom tokens are that are for this server; empty: the issuer. Upstream: `--api-audiences`.
    pub audiences: Vec<String>,
}

/// Everything that stands between a request and an object.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) admission: Arc<admission::Chain>,
    handlers: rest::catalog::Parts,
    keys: Vec<PublicKey>,
}

impl Access {
    /// Puts everything together. It knows no object until `fill`. What takes long is done in `tasks`.
    ///
    /// Errors: a key is unusable.
    pub(crate) fn build(
        config: &ServiceAccounts,
        certificates: Option<X509>,
        (clock, rng): (&SharedClock, &SharedRng),
        features: &Arc<Features>,
        tasks: &TaskSet,
    ) -> Result<Self, KeyError> {
        let caches = Arc::<Caches>::default();
        let rbac = Arc::new(Rbac::new(Arc::clone(&caches)));
        let authorizer: Arc<dyn Authorizer> = Arc::new(authorization::Union::new(vec![
            Arc::new(PrivilegedGroups),
            Arc::new(Node::new(Arc::clone(&caches), bootstrap::node_rules())),
            Arc::clone(&rbac) as _,
        ]));
        let decides = Arc::new(OnceLock::from(Arc::clone(&authorizer)));

        let key = SigningKey::from_pem(config.signing_key.as_bytes())?;
        let mut keys = vec![key.public().clone()];
        for pem in &config.further_keys {
            keys.extend(PublicKey::all_from_pem(pem.as_bytes())?);
        }
        let mut unique = Vec::with_capacity(keys.len());
        keys.retain(|key| {
            !unique.contains(&key.id) && {
                unique.push(key.id.clone());
                true
            }
        });
        let audiences =
            if config.audiences.is_empty() { vec![config.issuer.clone()] } else { config.audiences.clone() };
        let issuer = Arc::new(Issuer::new(config.issuer.clone(), key, Arc::clone(rng)));
        let verifier =
            TokenVerifier::new(vec![config.issuer.clone()], keys.clone(), Arc::clone(&caches), Arc::clone(clock));
        let tokens: Arc<dyn TokenAuthenticator> = Arc::new(verifier);
        let mut authenticators: Vec<Arc<dyn Authenticator>> = Vec::new();
        authenticators.extend(certificates.map(|x509| Arc::new(x509) as _));
        authenticators.push(Arc::new(Bearer::new(Arc::clone(&tokens), audiences.clone())));

        let admission = catalog::chain(&catalog::Parts {
            caches: Arc::clone(&caches),
            clock: Arc::clone(clock),
            rng: Arc::clone(rng),
            features: Arc::clone(features),
            rbac: Arc::clone(&rbac),
            authorizer: decides,
            tasks: tasks.clone(),
        });
        let kubelets = Arc::new(Kubelets::new(Arc::clone(&caches), Arc::clone(clock)));
        let handlers = rest::catalog::Parts {
            kubelets,
            caches,
            issuer,
            tokens,
            audiences,
            authorizer: Arc::clone(&authorizer),
            rbac,
        };
        Ok(Self {
            authenticator: Arc::new(authentication::Union::new(authenticators)),
            authorizer,
            admission: Arc::new(admission),
            handlers,
            keys,
        })
    }

    /// The way to kubelets.
    pub(crate) fn kubelets(&self) -> &Arc<Kubelets> {
        &self.handlers.kubelets
    }

    /// The watch caches, which plugins and hooks share.
    pub(crate) fn caches(&self) -> &Arc<Caches> {
        &self.handlers.caches
    }

    /// Tells of all stores, and serves the reviews and documents that belong to access. `address` is where clients outside
    /// find this server.
    pub(crate) fn install(&self, routes: &mut RoutesBuilder, stores: &[Arc<Store>], address: &str) {
        self.handlers.caches.fill(stores);
        rest::catalog::install(routes, &self.handlers);
        service_account::install(routes, self.handlers.issuer.name(), address, &self.keys);
    }
}
