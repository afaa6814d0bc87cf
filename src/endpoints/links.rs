//! Our own addresses, in one place: every link, redirect and registered URI comes from here.

use super::pages::Href;
use crate::{
    identity::ProviderName,
    origin::{Origin, ReturnTo},
};

/// The addresses of our endpoints.
#[derive(Clone, Debug)]
pub struct Links {
    origin: Origin,
    prefix: Box<str>,
}

impl Links {
    /// `prefix` is `/_auth`, without a closing slash.
    #[must_use]
    pub fn new(origin: Origin, prefix: &str) -> Self {
        Self { origin, prefix: prefix.into() }
    }

    /// What they are on.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where a sign-in begins that leads back to `return_to`.
    #[must_use]
    pub fn login(&self, return_to: &ReturnTo) -> Href {
        self.href("/login").with("rd", return_to.as_str())
    }

    /// The same at one of `providers`; at any when there are none.
    #[must_use]
    pub fn login_at<'p>(&self, providers: impl IntoIterator<Item = &'p ProviderName>, return_to: &ReturnTo) -> Href {
        let names: Vec<&str> = providers.into_iter().map(ProviderName::as_str).collect();
        let login = self.login(return_to);
        if names.is_empty() { login } else { login.with("provider", &names.join(",")) }
    }

    /// Where `provider` is asked, without a page for anybody, whether a session still stands; it leads back to `return_to`.
    #[must_use]
    pub fn check(&self, provider: &ProviderName, return_to: &ReturnTo) -> Href {
        self.login_at([provider], return_to).with("check", "1")
    }

    /// Where the page of providers sends its form; the fields are the parameters.
    #[must_use]
    pub fn login_form(&self) -> Href {
        self.href("/login")
    }

    /// Where a session ends; the page behind it offers to sign in again and go to `return_to`.
    #[must_use]
    pub fn logout(&self, return_to: &ReturnTo) -> Href {
        self.href("/logout").with("rd", return_to.as_str())
    }

    /// The page of somebody's sessions, and where its forms are posted.
    #[must_use]
    pub fn sessions(&self) -> Href {
        self.href("/sessions")
    }

    /// The page that says that somebody is signed out.
    #[must_use]
    pub fn signed_out(&self, return_to: &ReturnTo) -> Href {
        self.href("/signed-out").with("state", return_to.as_str())
    }

    /// Where the provider returns to after a logout: registered there as `post_logout_redirect_uri`.
    #[must_use]
    pub fn signed_out_uri(&self) -> String {
        self.origin.at(self.href("/signed-out").as_str())
    }

    /// The redirect URI registered at `provider`: one for each (RFC 9700 §4.4).
    #[must_use]
    pub fn callback_uri(&self, provider: &ProviderName) -> String {
        self.origin.at(&format!("{}/callback/{provider}", self.prefix))
    }

    /// `path` below the prefix.
    fn href(&self, path: &str) -> Href {
        // A prefix that is no path cannot be configured; were it otherwise, links would lead home.
        Href::parse(&format!("{}{path}", self.prefix)).unwrap_or_else(|_| Href::from(&ReturnTo::root()))
    }
}
