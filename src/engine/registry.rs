//! The API's section "Distribution", and how credentials for a registry go to the Engine: the header `X-Registry-Auth`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use super::bounds::Bound;
use super::call::Part::{Fixed, Image};
use super::call::Request;
use super::types::{AuthConfig, DistributionInspect};
use super::{Engine, Error};

const HEADER: &str = "X-Registry-Auth";

impl Engine {
    /// Asks a registry what it has under a name (`GET /distribution/{name}/json`), without pulling it: the digest, and the
    /// platforms that it is for. podman does not know this call (404).
    ///
    /// ```no_run
    /// # use longshore::engine::Engine;
    /// # let engine = Engine::from_env()?;
    /// println!("{}", engine.distribution_inspect("busybox:1.36", None)?.descriptor.digest);
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// 401, 403, 404 or 500, as the registry answers; [`Error::Decode`] for an answer without a digest.
    pub fn distribution_inspect(&self, name: &str, auth: Option<&AuthConfig>) -> Result<DistributionInspect, Error> {
        let request = self.get("distribution_inspect", &[Fixed("distribution"), Image(name), Fixed("json")]);
        let answer = request.credentials(auth)?.bound(Bound::THING).send()?;
        let inspect: DistributionInspect = answer.json()?;
        if inspect.descriptor.digest.is_empty() { Err(answer.without("Descriptor")) } else { Ok(inspect) }
    }
}

impl Request<'_> {
    /// Sends credentials along, if there are any.
    pub(super) fn credentials(self, auth: Option<&AuthConfig>) -> Result<Self, Error> {
        match auth.filter(|auth| !auth.is_empty()) {
            None => Ok(self),
            Some(auth) => self.registry_auth(auth),
        }
    }

    /// Sends credentials along, or says that there are none.
    pub(super) fn registry_auth(self, auth: &AuthConfig) -> Result<Self, Error> {
        let value = encoded(auth).map_err(|source| self.unwritable(source))?;
        Ok(self.secret_header(HEADER, &value))
    }
}

/// JSON in base64 as Go's `base64.URLEncoding` has it: `-` and `_` for `+` and `/`, with padding. An Engine takes what it
/// cannot decode for no credentials (moby/moby#33434).
fn encoded(auth: &AuthConfig) -> serde_json::Result<String> {
    Ok(URL_SAFE.encode(serde_json::to_vec(auth)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_written_as_engines_read_them() {
        // driver-spec 6.6, 6.3; demands "Images & credentials". The last two have `/` and `+` in the other alphabet.
        for (username, password, want) in [
            ("", "", "e30="),
            ("foo", "bar", "eyJ1c2VybmFtZSI6ImZvbyIsInBhc3N3b3JkIjoiYmFyIn0="),
            ("test", "1234", "eyJ1c2VybmFtZSI6InRlc3QiLCJwYXNzd29yZCI6IjEyMzQifQ=="),
            ("ann", "abc???def", "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoiYWJjPz8_ZGVmIn0="),
            ("anne", "abc>>>def", "eyJ1c2VybmFtZSI6ImFubmUiLCJwYXNzd29yZCI6ImFiYz4-PmRlZiJ9"),
        ] {
            let auth = AuthConfig { username: username.into(), password: password.into(), ..AuthConfig::default() };
            assert_eq!(encoded(&auth).unwrap(), want, "{username}:{password}");
        }
    }
}
