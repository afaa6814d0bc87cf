//! The command: arguments, runtime, exit codes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its terminal")]

mod develop;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use doorward::{
    app::App,
    clock::Clock,
    config, outgoing,
    providers::Providers,
    sessions::{self, store::Store},
    telemetry,
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An authentication gateway: OpenID Connect in front of applications that know nothing about it.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Clone)]
struct ConfigArgs {
    /// The configuration file [default: /etc/doorward/doorward.toml when it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where callers connect: host:port, unix:/path or systemd
    #[arg(long, global = true, value_name = "PLACE")]
    listen: Option<String>,
    /// The application behind the gateway
    #[arg(long, global = true, value_name = "URL")]
    upstream: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (default)
    Serve,
    /// Run everything on loopback, with nothing to configure: a development provider, the gateway, and a page that shows the
    /// headers it received (or your own application: --upstream)
    Dev,
    /// Read the configuration and print every problem; exit code 0 or 1
    Check {
        /// Also ask the providers for their metadata and keys, and the session store whether it takes what we write
        #[arg(long)]
        online: bool,
    },
    /// Print the effective configuration, secrets masked, and where each value came from
    Config {
        /// Print its JSON Schema instead
        #[arg(long, conflicts_with = "explain")]
        schema: bool,
        /// Print one provider instead, providers.NAME, and why its kind has each key as it is
        #[arg(long, value_name = "KEY")]
        explain: Option<String>,
    },
    /// Print a new session key
    Key,
    /// Ask the running gateway's own /readyz; exit code 0 or 1 (for a container's health check)
    Health,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli.config),
        Command::Dev => develop(&cli.config),
        Command::Check { online } => check(&cli.config, online),
        Command::Config { schema: true, .. } => say(config::schema()),
        Command::Config { explain: Some(key), .. } => match config::explain(&sources(&cli.config), &key) {
            Ok(explained) => say(explained),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Config { explain: None, .. } => match load(&cli.config) {
            Ok(loaded) => say(loaded.effective()),
            Err(code) => code,
        },
        Command::Key => say(config::new_key()),
        Command::Health => health(&cli.config),
    }
}

/// Prints `text`. Whoever closes the pipe early (`doorward config | head`) has read enough.
fn say(text: impl std::fmt::Display) -> ExitCode {
    use std::io::{ErrorKind, Write as _, stdout};
    match writeln!(stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

fn serve(args: &ConfigArgs) -> ExitCode {
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(error) = telemetry::start(&loaded.settings.telemetry) {
        return fail(&error);
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let threads = loaded.settings.threads;
    let args = args.clone();
    on_runtime(threads, async move {
        let app = match App::build(loaded.settings, Clock::system()) {
            Ok(app) => app,
            Err(error) => return fail(&error),
        };
        Box::pin(app.run(stop_signal(), move || reload(&args))).await;
        ExitCode::SUCCESS
    })
}

/// New settings after SIGHUP; the old ones stay when there is any problem.
fn reload(args: &ConfigArgs) -> Option<config::Settings> {
    match config::load(&sources(args)) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            Some(loaded.settings)
        }
        Err(problems) => {
            tracing::error!("Reload failed, the old configuration stays in force: {problems}");
            None
        }
    }
}

fn develop(args: &ConfigArgs) -> ExitCode {
    let filter = "warn,doorward=info,access=off".to_owned();
    if let Err(error) = telemetry::start(&telemetry::Settings { filter, format: telemetry::Format::Text }) {
        return fail(&error);
    }
    let args = args.clone();
    on_runtime(None, async move {
        match Box::pin(develop::run(args.listen.as_deref(), args.upstream, stop_signal())).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&*error),
        }
    })
}

fn check(args: &ConfigArgs, online: bool) -> ExitCode {
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    for line in loaded.kept() {
        println!("{line}");
    }
    if !online {
        println!("The configuration is fine.");
        return ExitCode::SUCCESS;
    }
    on_runtime(Some(1), async move {
        let mut code = check_store(&loaded.settings.sessions.store).await;
        // Nobody is sent back here: the redirect URIs do not matter.
        let providers = match Providers::new(
            loaded.settings.providers,
            |_| "https://localhost/".to_owned(),
            &outgoing::system_roots(),
            &Clock::system(),
        ) {
            Ok(providers) => providers,
            Err(error) => return fail(&error),
        };
        for provider in providers.all() {
            match provider.probe().await {
                Ok(found) => {
                    let found_keys = match found.usable_keys {
                        Some(0) => {
                            code = ExitCode::FAILURE;
                            "none of its keys fits `algorithms`".to_owned()
                        }
                        Some(keys) => format!("metadata and keys are fine, {keys} usable keys"),
                        None => "needs neither metadata nor keys".to_owned(),
                    };
                    let (userinfo, logout) = (yes(found.userinfo), yes(found.end_session));
                    let tokens = match (provider.takes_tokens(), found.tokens) {
                        (false, _) => "tokens of programs do not count",
                        (true, true) => "tokens of programs can be checked",
                        (true, false) => {
                            code = ExitCode::FAILURE;
                            "it has no endpoint to ask about tokens of programs (`bearer.method`)"
                        }
                    };
                    let name = provider.name();
                    println!("provider {name}: {found_keys}; userinfo: {userinfo}, logout: {logout}; {tokens}");
                }
                Err(error) => {
                    println!("provider {}: {}", provider.name(), telemetry::causes(&error));
                    code = ExitCode::FAILURE;
                }
            }
        }
        code
    })
}

/// Says in a line whether sessions can be kept.
async fn check_store(settings: &sessions::store::Settings) -> ExitCode {
    let store = Store::new(settings);
    match store.probe().await {
        Ok(()) if store.is_shared() => println!("session store: answers, and takes what we write"),
        Ok(()) => println!("session store: the memory of each replica"),
        Err(error) => {
            println!("{}", telemetry::causes(&error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn health(args: &ConfigArgs) -> ExitCode {
    let Some(listen) = (match load(args) {
        Ok(loaded) => loaded.settings.admin.listen,
        Err(code) => return code,
    }) else {
        eprintln!("doorward: admin.listen is empty, so nobody can be asked");
        return ExitCode::FAILURE;
    };
    on_runtime(Some(1), async move {
        match doorward::admin::ask_ready(&listen).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    })
}

fn sources(args: &ConfigArgs) -> config::Sources {
    let flags = [("listen", &args.listen), ("upstream", &args.upstream)];
    let overrides = flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect();
    config::Sources::from_process(config::CommandLine { config: args.config.clone(), overrides })
}

fn load(args: &ConfigArgs) -> Result<config::Loaded, ExitCode> {
    config::load(&sources(args)).map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::FAILURE
    })
}

/// SIGTERM or SIGINT.
fn stop_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let fired = stop.clone();
    tokio::spawn(async move {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "SIGTERM cannot be received; SIGINT stops");
                let _ = tokio::signal::ctrl_c().await;
            }
        }
        fired.cancel();
    });
    stop
}

/// `threads`: workers; `None` for one a core.
fn on_runtime(threads: Option<usize>, work: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = match threads {
        // Nothing has to be shared between workers, and every request is cheaper for it.
        Some(1) => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            threads.map(|threads| builder.worker_threads(threads));
            builder
        }
    };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // Whatever still runs has had its grace.
            runtime.shutdown_timeout(std::time::Duration::from_millis(100));
            code
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("doorward: {}", telemetry::causes(error));
    ExitCode::FAILURE
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
