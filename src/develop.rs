//! `doorward dev`: a development provider, the gateway, and a page that shows the headers it received, all on loopback.

use std::{error::Error, io, net::SocketAddr};

use doorward::{
    app::App,
    clock::Clock,
    config,
    dev::{
        self,
        provider::{Client, Provider},
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where people point their browser when they say nothing else.
const LISTEN: &str = "127.0.0.1:4180";
const ANY: &str = "127.0.0.1:0";
const CLIENT_ID: &str = "doorward-dev";

/// Runs until `stop`.
pub(crate) async fn run(
    listen: Option<&str>,
    upstream: Option<String>,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let gateway = bind(listen.unwrap_or(LISTEN)).await?;
    let public = format!("http://{}", gateway.local_addr()?);
    let provider = bind(ANY).await?;
    let issuer = format!("http://{}", provider.local_addr()?);
    let secret = config::new_key();

    let (upstream, page) = match upstream {
        Some(upstream) => (upstream, None),
        None => {
            let page = bind(ANY).await?;
            (format!("http://{}", page.local_addr()?), Some(page))
        }
    };
    let settings = [
        ("DOORWARD_PUBLIC_URL", &*public),
        ("DOORWARD_UPSTREAM", &upstream),
        ("DOORWARD_ADMIN__LISTEN", ""),
        ("DOORWARD_SESSION__KEY", &config::new_key()),
        ("DOORWARD_PROVIDERS__DEV__DISPLAY_NAME", "Development provider"),
        ("DOORWARD_PROVIDERS__DEV__ISSUER", &issuer),
        ("DOORWARD_PROVIDERS__DEV__CLIENT_ID", CLIENT_ID),
        ("DOORWARD_PROVIDERS__DEV__CLIENT_SECRET", &secret),
        ("DOORWARD_PROVIDERS__DEV__SCOPES", "openid,profile,email,groups"),
        ("DOORWARD_HEADERS__CLAIMS__X-EMAIL", "email"),
        ("DOORWARD_HEADERS__CLAIMS__X-NAME", "name"),
        ("DOORWARD_HEADERS__CLAIMS__X-GROUPS", "groups"),
    ];
    // These and nothing else, neither a file nor the process's own environment: `dev` is the same for everybody.
    let loaded = config::load(&config::Sources::new(config::CommandLine::default(), settings))?;
    let app = App::on(gateway.into(), loaded.settings, Clock::system())?;

    let client = Client {
        id: CLIENT_ID.to_owned(),
        secret: Some(secret.into()),
        key: None,
        redirect_uris: vec![format!("{public}/_auth/callback/dev")],
        post_logout_redirect_uris: vec![format!("{public}/_auth/signed-out")],
        backchannel_logout_uri: Some(format!("{public}/_auth/backchannel-logout/dev")),
        frontchannel_logout_uri: Some(format!("{public}/_auth/frontchannel-logout/dev")),
    };
    let mut tasks = tokio::task::JoinSet::new();
    let provider_stop = stop.clone();
    let op = Provider::new(issuer, vec![client], Clock::system());
    tasks.spawn(async move { op.serve(provider, provider_stop.cancelled_owned()).await });
    if let Some(page) = page {
        let stop = stop.clone();
        tasks.spawn(
            async move { dev::serve_headers_page(page, "/_auth/logout".to_owned(), stop.cancelled_owned()).await },
        );
    }
    println!("Development mode: loopback only, anyone can sign in as anyone.\n\n    {public}\n");
    Box::pin(app.run(stop, || None)).await;
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Binds a loopback address and refuses every other.
async fn bind(address: &str) -> Result<TcpListener, Box<dyn Error>> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host(address).await.map_err(|e| format!("{address}: {e}"))?.collect();
    if !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(format!(
            "{address} is not loopback: development mode would let anyone sign in as anyone from elsewhere"
        )
        .into());
    }
    TcpListener::bind(&*addresses).await.map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::AddrInUse {
            " (choose another with --listen 127.0.0.1:PORT)"
        } else {
            ""
        };
        format!("cannot listen at {address}: {error}{hint}").into()
    })
}
