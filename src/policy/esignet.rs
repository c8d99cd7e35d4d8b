//! What an `esignet` route does, told by the end of its path. There are no other paths: E-Signet's management API shares its
//! host.

use http::Method;

use super::path::{PathPattern, Segment};
use crate::config::{self, HandlerKind, Report};

/// What an `esignet` route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EsignetOperation {
    /// `/oauth/token`.
    Token,
    /// `/oauth/v2/token`, with PKCE and DPoP.
    TokenV2,
    /// `/oidc/userinfo`.
    Userinfo,
    /// The key set.
    Keys,
    /// Discovery, in the form of OpenID.
    OpenidDiscovery,
    /// Discovery, in the form of RFC 8414.
    OauthDiscovery,
}

impl EsignetOperation {
    const ALL: [Self; 6] = [
        Self::Token,
        Self::TokenV2,
        Self::Userinfo,
        Self::Keys,
        Self::OpenidDiscovery,
        Self::OauthDiscovery,
    ];

    /// Its path, behind E-Signet's base.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Token => "/oauth/token",
            Self::TokenV2 => "/oauth/v2/token",
            Self::Userinfo => "/oidc/userinfo",
            Self::Keys => "/oauth/.well-known/jwks.json",
            Self::OpenidDiscovery => "/oidc/.well-known/openid-configuration",
            Self::OauthDiscovery => "/oauth/.well-known/oauth-authorization-server",
        }
    }

    /// Its one method.
    pub const fn method(self) -> Method {
        match self {
            Self::Token | Self::TokenV2 => Method::POST,
            Self::Userinfo | Self::Keys | Self::OpenidDiscovery | Self::OauthDiscovery => {
                Method::GET
            }
        }
    }

    /// Whether it is answered from what was fetched ahead.
    pub const fn is_published(self) -> bool {
        matches!(
            self,
            Self::Keys | Self::OpenidDiscovery | Self::OauthDiscovery
        )
    }

    /// Checks a route's part. `None` for other handlers, and after a mistake.
    pub(super) fn build(
        raw: &config::Route,
        path: &PathPattern,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        if raw.handler != HandlerKind::Esignet {
            return None;
        }
        let found = Self::of(path);
        let Some(operation) = found else {
            let known: Vec<&str> = Self::ALL.iter().map(|o| o.path()).collect();
            let remedy = format!("End it with one of: {}.", known.join(", "));
            report.error("path", "the path names no operation of E-Signet", remedy);
            return None;
        };
        if operation.is_published() && raw.to.is_some() {
            let remedy = "Remove it; [esignet] says where it is fetched from.";
            report.error("to", "this is answered from what was fetched ahead", remedy);
        }
        if !operation.is_published() && raw.to.is_none() {
            let remedy = "Add to = { upstream = \"…\", envelope = \"…\" }.";
            report.error("to", "the route does not say where it goes", remedy);
        }
        Some(operation)
    }

    fn of(path: &PathPattern) -> Option<Self> {
        let mut text = String::new();
        for segment in path.segments() {
            match segment {
                Segment::Literal(literal) => {
                    text.push('/');
                    text.push_str(literal);
                }
                Segment::Capture(_) => return None,
            }
        }
        let ends = |operation: &Self| text.ends_with(operation.path());
        (!path.has_rest())
            .then(|| Self::ALL.into_iter().find(ends))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_known_by_the_end_of_its_path_and_nothing_else_is_one() {
        let of = |path: &str| EsignetOperation::of(&PathPattern::parse(path).unwrap());
        for operation in EsignetOperation::ALL {
            assert_eq!(
                of(&format!("/v1/esignet{}", operation.path())),
                Some(operation)
            );
        }
        for other in [
            "/v1/esignet/client-mgmt/client",
            "/v1/esignet/oauth/token/x",
            "/v1/esignet/oauth/{token}",
            "/v1/esignet/{rest}",
            "/v1/esignet/oauth/v3/token",
            "/v1/esignet/xoauth/token",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
