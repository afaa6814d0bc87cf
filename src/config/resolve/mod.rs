//! What a configuration means: every rule that more than one key has a part in, and the parts' settings.
//!
//! Nothing stops at the first problem. A value that is missing or wrong is reported where it is read and goes on as `None`;
//! settings are made only when nothing was reported.

mod assertion;
mod credentials;
mod gateway;
mod headers;
mod providers;
mod sessions;
mod store;

use std::{ops::RangeInclusive, time::Duration};

use super::{
    Settings, environment, files,
    layer::Layer,
    leaf::{Given, Size},
    problems::{Place, Problem},
    raw::{Limits, Raw, Tls},
    sources::Said,
};
use crate::{
    admin,
    gateway::settings::{RouteSettings, UpstreamLimits},
    origin::Origin,
    server, telemetry,
};

/// The settings, and warnings; or everything that is wrong.
pub(super) fn resolve(raw: Raw, said: &Said) -> Result<(Settings, Vec<String>), Vec<Problem>> {
    let mut reading = Reading {
        layers: &said.layers,
        is_whole: said.is_whole,
        problems: said.problems.clone(),
        warnings: Vec::new(),
    };
    let settings = settings(raw, &mut reading);
    match settings {
        Some(settings) if reading.problems.is_empty() => return Ok((settings, reading.warnings)),
        Some(_) => {}
        // Whoever returned `None` forgot to say why.
        None if reading.problems.is_empty() => reading.problems.push(Problem::unforeseen("the configuration")),
        None => {}
    }
    Err(reading.problems)
}

fn settings(raw: Raw, reading: &mut Reading<'_>) -> Option<Settings> {
    let origin = public_url(raw.public_url, raw.tls.cert.is_given(), reading);
    let listen = reading.required(raw.listen, "listen");
    let admin = reading.required(raw.admin.listen, "admin.listen").map(|listen| admin::Settings { listen: listen.0 });
    if let (Some(listen), Some(admin::Settings { listen: Some(admin) })) = (&listen, &admin)
        && is_same_place(listen, admin)
    {
        reading.wrong("admin.listen", "is the same place as `listen`; operators need one of their own");
    }
    let tls = tls(raw.tls, reading);
    let Limited { limits, shutdown_grace, upstream, provider } = limits(raw.limits, reading);
    let is_single = raw.upstream.is_given();
    let gateway = gateway::Given {
        prefix: raw.prefix,
        upstream: raw.upstream,
        allow: raw.allow,
        access_token_header: raw.access_token_header,
        secret_headers: raw.secret_headers,
        routes: raw.routes,
        headers: raw.headers,
        assertion: raw.assertion,
        trusted_proxies: raw.trusted_proxies,
        credentials: raw.credentials,
        tokens: raw.tokens,
        providers: raw.providers.keys().cloned().collect(),
    };
    let gateway = gateway::resolve(gateway, origin.clone(), upstream, reading);
    let needed = gateway.as_ref().map(|gateway| gateway::needed_claims(&gateway.headers, &gateway.routes));
    let around = providers::Around {
        origin: origin.as_ref(),
        needed: needed.unwrap_or_default(),
        limits: provider.as_ref(),
        tokens_count: gateway.as_ref().is_some_and(|gateway| gateway.routes.iter().any(credentials::counts_tokens)),
    };
    let providers = providers::resolve(raw.providers, &around, reading);
    if let (Some(gateway), Some(providers)) = (&gateway, &providers) {
        credentials::check(&gateway.routes, is_single, providers, reading);
    }
    let wants_token = |route: &RouteSettings| route.access_token_header.is_some();
    let keeps_access_tokens = gateway.as_ref().is_some_and(|gateway| gateway.routes.iter().any(wants_token));
    let sessions = sessions::resolve(raw.session, origin, keeps_access_tokens, reading);
    let filter = reading.required(raw.log.filter, "log.filter");
    let format = reading.required(raw.log.format, "log.format");
    let threads = reading.count(raw.threads, "threads", 0..=1_024);
    Some(Settings {
        threads: threads.filter(|threads| *threads > 0),
        server: server::Settings { listen: listen?, tls, limits: limits?, shutdown_grace: shutdown_grace? },
        admin: admin?,
        gateway: gateway?,
        sessions: sessions?,
        providers: providers?,
        telemetry: telemetry::Settings { filter: filter?.0, format: format? },
    })
}

fn public_url(given: Given<Origin>, has_tls: bool, reading: &mut Reading<'_>) -> Option<Origin> {
    const KEY: &str = "public_url";
    let origin = reading.required(given, KEY)?;
    match (origin.is_https(), origin.is_loopback()) {
        (true, _) => {}
        (false, _) if has_tls => {
            reading.wrong(KEY, "is plain http although `tls.cert` is set; browsers would not find us")
        }
        (false, true) => {
            reading.warn(KEY, "is plain http on loopback: cookies are not `Secure`; for trying things out only")
        }
        (false, false) => reading.wrong(KEY, "is plain http; https is needed, except on loopback"),
    }
    Some(origin)
}

/// Port 0 takes any free port, another one each time.
fn is_same_place(one: &server::Listen, other: &server::Listen) -> bool {
    match one {
        server::Listen::Tcp(address) if address.ends_with(":0") => false,
        server::Listen::Tcp(_) | server::Listen::Unix(_) | server::Listen::Systemd => one == other,
    }
}

fn tls(raw: Tls, reading: &mut Reading<'_>) -> Option<server::Tls> {
    const CLIENT_CERTIFICATES: &str = "tls.client_certificates";
    for (is_given, key, is_other_given, other) in [
        (raw.cert.is_given(), "tls.cert", raw.key.is_given(), "tls.key"),
        (raw.key.is_given(), "tls.key", raw.cert.is_given(), "tls.cert"),
    ] {
        if is_given && !is_other_given {
            reading.wrong(key, format!("stands alone; `{other}` is needed with it"));
        }
    }
    let has_tls = raw.cert.is_given() || raw.key.is_given();
    let client_certificates = reading.required(raw.client_certificates, CLIENT_CERTIFICATES);
    if client_certificates == Some(true) && !has_tls {
        let what = "is on, but there is no `tls.cert`; only who ends TLS can ask for a certificate";
        reading.wrong(CLIENT_CERTIFICATES, what);
    }
    let cert = reading.value(raw.cert, "tls.cert");
    let key = reading.value(raw.key, "tls.key");
    if let Some(Err(what)) = cert.as_deref().map(files::check_certificates) {
        reading.wrong("tls.cert", what);
    }
    if let Some(Err(what)) = key.as_deref().map(files::check_private_key) {
        reading.wrong("tls.key", what);
    }
    Some(server::Tls { cert: cert?, key: key?, client_certificates: client_certificates? })
}

struct Limited {
    limits: Option<server::Limits>,
    shutdown_grace: Option<Duration>,
    upstream: Option<UpstreamLimits>,
    provider: Option<crate::providers::Limits>,
}

fn limits(raw: Limits, reading: &mut Reading<'_>) -> Limited {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    // hyper refuses to read with less than 8 KiB; HTTP/2 counts its header list in 32 bits.
    let header_bytes = reading.size(raw.header_bytes, "limits.header_bytes", 8 * KIB..=MIB);
    // `http::HeaderMap` cannot hold more than 32,768 fields.
    let header_count = reading.count(raw.header_count, "limits.header_count", 1..=10_000);
    let header_timeout = reading.time(raw.header_timeout, "limits.header_timeout");
    let idle_timeout = reading.time(raw.idle_timeout, "limits.idle_timeout");
    let connections = reading.count(raw.connections, "limits.connections", 1..=1_000_000);
    let shutdown_grace = reading.required(raw.shutdown_grace, "limits.shutdown_grace");
    let connect_timeout = reading.time(raw.upstream_connect_timeout, "limits.upstream_connect_timeout");
    let response_timeout = reading.time(raw.upstream_response_timeout, "limits.upstream_response_timeout");
    let upstream_idle_timeout = reading.time(raw.upstream_idle_timeout, "limits.upstream_idle_timeout");
    let tunnel_idle_timeout = reading.time(raw.tunnel_idle_timeout, "limits.tunnel_idle_timeout");
    let timeout = reading.time(raw.provider_timeout, "limits.provider_timeout");
    let answer_bytes = reading.size(raw.provider_answer_bytes, "limits.provider_answer_bytes", KIB..=64 * MIB);
    let renew_after = reading.time(raw.provider_renew_after, "limits.provider_renew_after");
    let min_interval = reading.time(raw.provider_min_interval, "limits.provider_min_interval");
    let concurrency = reading.count(raw.provider_concurrency, "limits.provider_concurrency", 1..=1_000);
    let limits = || {
        Some(server::Limits {
            header_bytes: header_bytes?,
            header_count: header_count?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            connections: connections?,
        })
    };
    let upstream = || {
        Some(UpstreamLimits {
            connect_timeout: connect_timeout?,
            response_timeout: response_timeout?,
            idle_timeout: upstream_idle_timeout?,
            tunnel_idle_timeout: tunnel_idle_timeout?,
        })
    };
    let provider = || {
        Some(crate::providers::Limits {
            timeout: timeout?,
            answer_bytes: answer_bytes?,
            renew_after: renew_after?,
            min_interval: min_interval?,
            concurrency: concurrency?,
        })
    };
    Limited { limits: limits(), shutdown_grace, upstream: upstream(), provider: provider() }
}

/// The reading of a configuration: where everything was written, and what was found.
struct Reading<'a> {
    layers: &'a [Layer],
    is_whole: bool,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// The value of `key` when somebody wrote it and it can be read.
    fn value<T>(&mut self, given: Given<T>, key: &str) -> Option<T> {
        given.into_result()?.map_err(|what| self.wrong(key, what)).ok()
    }

    /// The value of `key`, which must be written.
    fn required<T>(&mut self, given: Given<T>, key: &str) -> Option<T> {
        if !given.is_given() {
            self.missing(key, format!("is required; set it in the file or as `{}`", environment::variable(key)));
        }
        self.value(given, key)
    }

    /// A time, not zero: nothing here waits for ever or not at all.
    fn time(&mut self, given: Given<Duration>, key: &str) -> Option<Duration> {
        let time = self.required(given, key)?;
        if time.is_zero() {
            self.wrong(key, "is zero; it must be longer");
        }
        Some(time)
    }

    fn count(&mut self, given: Given<usize>, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let count = self.required(given, key)?;
        self.within(key, count, &range, "");
        Some(count)
    }

    fn size(&mut self, given: Given<Size>, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let size = self.required(given, key)?.0;
        self.within(key, size, &range, " bytes");
        Some(size)
    }

    fn within(&mut self, key: &str, value: usize, range: &RangeInclusive<usize>, unit: &str) {
        if !range.contains(&value) {
            self.wrong(key, format!("is {value}{unit}; it must be {} to {}{unit}", range.start(), range.end()));
        }
    }

    /// What stands at `key` is wrong.
    fn wrong(&mut self, key: &str, what: impl Into<String>) {
        self.problems.push(Problem { place: self.place(key).cloned(), key: key.to_owned(), what: what.into() });
    }

    /// The table `key`, or its name, is wrong; from the environment it has no place of its own.
    fn wrong_near(&mut self, key: &str, what: impl Into<String>) {
        let what = what.into();
        let within = || self.layers.iter().rev().find_map(|layer| layer.place_within(key));
        let (place, what) = match self.place(key) {
            Some(place) => (Some(place), what),
            // A variable's name would say another key.
            None => (within(), format!("`{key}` {what}")),
        };
        self.problems.push(Problem { place: place.cloned(), key: key.to_owned(), what });
    }

    /// Nothing stands at `key`. Silent when something did, but was of no use, or when the file could not be read.
    fn missing(&mut self, key: &str, what: impl Into<String>) {
        if !self.is_whole || self.is_reported(key) {
            return;
        }
        // The table around it, where the operator wrote one.
        let mut near = self.layers.iter().rev().filter_map(|layer| layer.place_near(key));
        let place = near.find(|place| matches!(place, Place::File(..))).cloned();
        self.problems.push(Problem { place, key: key.to_owned(), what: what.into() });
    }

    /// Whether a problem names `key`, something in it, or the table around it.
    fn is_reported(&self, key: &str) -> bool {
        self.problems.iter().filter(|problem| !problem.key.is_empty()).any(|problem| {
            let rest = problem.key.strip_prefix(key).or_else(|| key.strip_prefix(&problem.key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// What stands at `key` weakens a protection, or is probably not meant.
    fn warn(&mut self, key: &str, what: impl Into<String>) {
        let warning = Problem { place: self.place(key).cloned(), key: key.to_owned(), what: what.into() };
        self.warnings.push(warning.to_string());
    }

    /// Where `key` was written; the last layer that has it counts.
    fn place(&self, key: &str) -> Option<&Place> {
        self.layers.iter().rev().find_map(|layer| layer.place(key))
    }

    /// `key` and where it was written, for a message about another key.
    fn named(&self, key: &str) -> String {
        self.place(key).map_or_else(|| format!("`{key}`"), |place| format!("`{key}` ({place})"))
    }
}
