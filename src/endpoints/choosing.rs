//! Which provider a sign-in is for: what a link or a form says about it, and whether that settles it. Asks nobody.

use std::{borrow::Cow, sync::Arc};

use super::{
    BadForm, EndpointError, Links, form,
    pages::{AddressProblem, Href},
};
use crate::{
    origin::{Origin, ReturnTo},
    providers::{Provider, Providers},
};

/// What is read of a link or a form to the login. Whatever else it brings never reaches the provider (T-046).
#[derive(Debug)]
pub(super) struct Wish<'q> {
    /// `rd`, or `target_link_uri` where another site begins the sign-in (OpenID Connect Core §4).
    pub(super) return_to: ReturnTo,
    /// The name of a provider of ours, or some, separated by commas.
    provider: Option<Cow<'q, str>>,
    /// The issuer that another site names.
    iss: Option<Cow<'q, str>>,
    hint: Option<LoginHint>,
    /// Whoever is signed in is only to be confirmed.
    pub(super) is_check: bool,
}

impl<'q> Wish<'q> {
    pub(super) fn parse(parameters: &'q str, home: &Origin) -> Result<Self, BadForm> {
        let asked = match (form::one(parameters, "rd")?, form::one(parameters, "target_link_uri")?) {
            (Some(_), Some(_)) => return Err(BadForm::Conflict("rd", "target_link_uri")),
            (asked, None) | (None, asked) => asked,
        };
        Ok(Self {
            return_to: asked.map_or_else(ReturnTo::root, |asked| ReturnTo::parse(&asked, home)),
            provider: form::one(parameters, "provider")?,
            iss: form::one(parameters, "iss")?,
            is_check: form::one(parameters, "check")?.as_deref() == Some("1"),
            hint: form::one(parameters, "login_hint")?.and_then(|hint| LoginHint::parse(&hint)),
        })
    }

    /// Those that were named, as they were.
    pub(super) fn providers(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Whom the provider may expect.
    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_ref().map(|LoginHint(hint)| hint.as_str())
    }

    /// The link that says the same.
    pub(super) fn link(&self, links: &Links) -> Href {
        let said = [("provider", self.provider.as_deref()), ("iss", self.iss.as_deref()), ("login_hint", self.hint())];
        let said = said.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        said.fold(links.login(&self.return_to), |link, (name, value)| link.with(name, value))
    }

    /// The link that says the same and chooses `provider`.
    pub(super) fn link_to(&self, provider: &Provider, links: &Links) -> Href {
        let link = links.login_at([provider.name()], &self.return_to);
        match self.hint() {
            Some(hint) => link.with("login_hint", hint),
            None => link,
        }
    }

    /// The provider this is about, or those to choose from.
    pub(super) fn choose<'p>(&self, providers: &'p Providers) -> Result<Chosen<'p>, EndpointError> {
        let named: Option<Vec<&str>> = self.provider.as_ref().map(|names| names.split(',').collect());
        if named.iter().flatten().any(|name| providers.find(name).is_none()) {
            return Err(EndpointError::UnknownProvider);
        }
        let is_named =
            |provider: &&Arc<Provider>| named.as_ref().is_none_or(|named| named.contains(&provider.name().as_str()));
        let fits = |provider: &&Arc<Provider>| self.iss.as_ref().is_none_or(|iss| provider.is_issuer(iss));
        let among: Vec<_> = providers.iter().filter(is_named).filter(fits).collect();
        match *among {
            [] if self.iss.is_some() && named.is_some() => Err(BadForm::Conflict("provider", "iss").into()),
            [] if self.iss.is_some() => Err(EndpointError::UnknownProvider),
            [only] => Ok(Chosen::One(only)),
            _ => Ok(self.by_address(among)),
        }
    }

    fn by_address<'p>(&self, among: Vec<&'p Arc<Provider>>) -> Chosen<'p> {
        let Some(hint) = &self.hint else { return Chosen::Among(among, None) };
        let Some(domain) = hint.domain() else { return Chosen::Among(among, Some(AddressProblem::NoAddress)) };
        let mut serving = among.iter().filter(|provider| provider.email_domains().contains(&*domain));
        match (serving.next(), serving.next()) {
            (Some(one), None) => Chosen::One(one),
            (None, _) => Chosen::Among(among, Some(AddressProblem::NoProvider)),
            (Some(_), Some(_)) => Chosen::Among(among, Some(AddressProblem::SeveralProviders)),
        }
    }
}

/// What a wish comes to.
#[derive(Debug)]
pub(super) enum Chosen<'p> {
    /// There is nothing to choose.
    One(&'p Arc<Provider>),
    /// A person has to choose; where an address was given, why it did not settle it.
    Among(Vec<&'p Arc<Provider>>, Option<AddressProblem>),
}

/// Whom the provider may expect: an e-mail address as somebody typed it, or whatever another site calls a person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LoginHint(String);

impl LoginHint {
    /// The longest hint that is passed on, in bytes: twice the longest address (RFC 5321 §4.5.3.1).
    const MAX_BYTES: usize = 512;

    /// `text` without white space at its ends. It only saves typing: one that nobody can have meant is none, and the sign-in goes on.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let usable = (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        usable.then(|| Self(text.to_owned()))
    }

    /// What stands behind the `@` of an address, in lower case.
    fn domain(&self) -> Option<String> {
        let (local, domain) = self.0.rsplit_once('@')?;
        (!local.is_empty() && !domain.is_empty()).then(|| domain.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::{Clock, UnixTime},
        identity::ProviderName,
        outgoing,
        providers::{Limits, Settings},
    };

    /// Each with its name, its issuer and its domains, separated by spaces.
    fn providers(all: &[(&str, &str, &str)]) -> Providers {
        let second = Duration::from_secs(1);
        let limits =
            Limits { timeout: second, answer_bytes: 1, renew_after: second, min_interval: second, concurrency: 1 };
        let settings = all.iter().map(|(name, issuer, domains)| {
            let mut one = Settings::standard(ProviderName::parse(name).unwrap(), issuer, "us", limits.clone());
            one.email.domains = domains.split_whitespace().map(Into::into).collect();
            one
        });
        let uri = |name: &ProviderName| format!("https://app.example.com/_auth/callback/{name}");
        let clock = Clock::stopped(UnixTime(1_800_000_000));
        Providers::new(settings.collect(), uri, &outgoing::system_roots(), &clock).unwrap()
    }

    /// What `query` comes to: the name of one, those to choose from with what is said about the address, or the refusal.
    fn chosen(providers: &Providers, query: &str) -> String {
        let home = Origin::parse("https://app.example.com").unwrap();
        match Wish::parse(query, &home).map_err(EndpointError::from).and_then(|wish| wish.choose(providers)) {
            Ok(Chosen::One(one)) => one.name().to_string(),
            Ok(Chosen::Among(among, problem)) => {
                let names: Vec<_> = among.iter().map(|provider| provider.name().as_str()).collect();
                format!("{} {problem:?}", names.join("|"))
            }
            Err(EndpointError::UnknownProvider) => "unknown".to_owned(),
            Err(EndpointError::Form(BadForm::Conflict(..))) => "conflict".to_owned(),
            Err(EndpointError::Form(BadForm::Repeated(_))) => "repeated".to_owned(),
            Err(error) => panic!("{query}: {error}"),
        }
    }

    /// T-067.
    #[test]
    fn one_provider_or_a_choice_or_a_refusal() {
        let three = providers(&[
            ("google", "https://accounts.google.com", ""),
            ("entra", "https://login.example/v2", "corp.com corp.example both.example"),
            ("partner", "https://partner.example", "partner.example both.example"),
        ]);
        for (query, answer) in [
            ("iss=https://evil.com", "unknown"),
            ("iss=https://partner.example/", "unknown"),
            ("iss=", "unknown"),
            ("iss=https://evil.com&login_hint=bob@corp.com", "unknown"),
            ("provider=nobody", "unknown"),
            ("provider=&login_hint=bob@corp.com", "unknown"),
            ("provider=nobody&iss=https://partner.example", "unknown"),
            ("provider=google&iss=https://partner.example", "conflict"),
            ("provider=google,nobody", "unknown"),
            ("provider=google,", "unknown"),
            ("provider=google&provider=partner", "repeated"),
            ("provider=google,entra&iss=https://partner.example", "conflict"),
            ("provider=google,partner", "google|partner None"),
            ("provider=partner,google,partner", "google|partner None"),
            ("provider=google,google", "google"),
            ("provider=google,partner&iss=https://partner.example", "partner"),
            ("provider=google,entra&login_hint=bob@corp.com", "entra"),
            ("provider=google,partner&login_hint=bob@corp.com", "google|partner Some(NoProvider)"),
            ("provider=google&iss=", "conflict"),
            ("rd=/&target_link_uri=/", "conflict"),
            ("iss=https://partner.example&iss=https://evil.com", "repeated"),
            ("login_hint=a&login_hint=b", "repeated"),
            ("target_link_uri=/a&target_link_uri=/b", "repeated"),
            ("", "entra|google|partner None"),
            ("login_hint=", "entra|google|partner None"),
            ("login_hint=%00bob@corp.com", "entra|google|partner None"),
            ("login_hint=bob", "entra|google|partner Some(NoAddress)"),
            ("login_hint=bob@", "entra|google|partner Some(NoAddress)"),
            ("login_hint=@corp.com", "entra|google|partner Some(NoAddress)"),
            ("login_hint=bob@sub.corp.com", "entra|google|partner Some(NoProvider)"),
            ("login_hint=bob@corp.com.", "entra|google|partner Some(NoProvider)"),
            ("login_hint=bob@corp.com@evil.com", "entra|google|partner Some(NoProvider)"),
            ("login_hint=bob@both.example", "entra|google|partner Some(SeveralProviders)"),
            ("login_hint=bob@corp.com", "entra"),
            ("login_hint=Bob%40CORP.Example", "entra"),
            ("login_hint=%20bob@corp.com%20", "entra"),
            ("login_hint=%22b@b%22@partner.example", "partner"),
            ("provider=google&login_hint=bob@corp.com", "google"),
            ("iss=https://partner.example", "partner"),
            ("iss=https%3A%2F%2Fpartner.example&login_hint=bob@corp.com", "partner"),
            ("provider=partner&iss=https://partner.example", "partner"),
        ] {
            assert_eq!(chosen(&three, query), answer, "{query}");
        }
    }

    #[test]
    fn an_issuer_with_two_registrations_leaves_those_two() {
        let issuer = "https://login.example";
        let three =
            providers(&[("staff", issuer, "corp.com"), ("guests", issuer, ""), ("google", "https://g.example", "")]);
        for (query, answer) in [
            ("iss=https://login.example", "guests|staff None"),
            ("iss=https://login.example&login_hint=bob@corp.com", "staff"),
            ("iss=https://login.example&provider=guests", "guests"),
        ] {
            assert_eq!(chosen(&three, query), answer, "{query}");
        }
    }

    #[test]
    fn where_there_is_one_nobody_chooses() {
        let one = providers(&[("entra", "https://login.example/v2", "corp.com")]);
        for (query, answer) in [
            ("iss=https://evil.com", "unknown"),
            ("", "entra"),
            ("login_hint=bob@corp.com", "entra"),
            ("login_hint=bob@other.example", "entra"),
            ("login_hint=bob", "entra"),
        ] {
            assert_eq!(chosen(&one, query), answer, "{query}");
        }
        assert_eq!(chosen(&Providers::default(), ""), " None", "the page that says so");
    }

    #[test]
    fn a_hint_is_short_and_printable() {
        let longest = "x".repeat(512);
        let too_long = "x".repeat(513);
        for (text, kept) in [
            ("", None),
            (" \t", None),
            ("a\nb", None),
            ("a\u{85}b", None),
            (&too_long, None),
            (&longest, Some(&*longest)),
            (" bob+tag@corp.com\n", Some("bob+tag@corp.com")),
            ("O.CiQ0~-_==", Some("O.CiQ0~-_==")),
            ("zoë@bücher.example", Some("zoë@bücher.example")),
        ] {
            assert_eq!(LoginHint::parse(text).as_ref().map(|hint| &*hint.0), kept, "{text:?}");
        }
    }

    /// T-067: as strictly as `rd` (T-061 to T-065, in `origin`).
    #[test]
    fn another_site_says_where_to_go_on_our_origin_only() {
        let home = Origin::parse("https://app.example.com").unwrap();
        for (asked, to) in [
            ("https://evil.com/", "/"),
            ("//evil.com", "/"),
            ("https://app.example.com.evil.com", "/"),
            ("https://app.example.com@evil.com", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
            ("https://app.example.com/deep?x=1", "/deep?x=1"),
        ] {
            for name in ["rd", "target_link_uri"] {
                let query = format!("{name}={asked}");
                assert_eq!(Wish::parse(&query, &home).unwrap().return_to.as_str(), to, "{query}");
            }
        }
    }
}
