//! People who are signed in and ask for pages all the time. None of them should notice anything.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::RwLock, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::Fleet,
    support::{Browser, browser::someone},
};

/// Which gateways are asked, in turn: a load balancer that knows who is ready.
#[derive(Clone)]
pub struct Rotation {
    addresses: Arc<RwLock<Vec<SocketAddr>>>,
    turn: Arc<AtomicUsize>,
}

impl Rotation {
    pub fn of(fleet: &Fleet) -> Self {
        Self { addresses: Arc::new(RwLock::new(fleet.addresses())), turn: Arc::default() }
    }

    pub async fn next(&self) -> SocketAddr {
        let addresses = self.addresses.read().await;
        addresses[self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len()]
    }

    pub async fn all(&self) -> Vec<SocketAddr> {
        self.addresses.read().await.clone()
    }

    pub async fn take_out(&self, address: SocketAddr) {
        self.addresses.write().await.retain(|known| *known != address);
    }

    pub async fn put_in(&self, address: SocketAddr) {
        self.addresses.write().await.push(address);
    }
}

/// How a crowd asks.
#[derive(Clone, Copy)]
pub struct Habits {
    /// What for.
    pub path: &'static str,
    /// How long each of them waits in between.
    pub rest: Duration,
    /// Everybody asks all gateways at once, as a page with several parts does; otherwise one after the other.
    pub is_parallel: bool,
}

pub const ORDINARY: Habits = Habits { path: "/", rest: Duration::from_millis(150), is_parallel: false };

pub struct Crowd {
    asking: JoinSet<usize>,
    stop: CancellationToken,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Crowd {
    /// So many people, each signed in for themselves.
    pub async fn gather(fleet: &Fleet, rotation: &Rotation, people: usize, habits: Habits) -> Self {
        let mut signing_in = JoinSet::new();
        for number in 0..people {
            let (at, authority) = (rotation.next().await, fleet.authority.clone());
            signing_in.spawn(async move {
                let name = format!("person-{number}");
                (signed_in(&authority, at, &name).await, name)
            });
        }
        let people = signing_in.join_all().await;
        let (stop, complaints) = (CancellationToken::new(), Arc::<Mutex<Vec<String>>>::default());
        let mut asking = JoinSet::new();
        for (browser, name) in people {
            let person =
                Person { name, browser, authority: fleet.authority.clone(), complaints: Arc::clone(&complaints) };
            asking.spawn(person.ask(rotation.clone(), habits, stop.clone()));
        }
        Self { asking, stop, complaints }
    }

    /// Everybody goes home; fails if anybody had a reason to complain. How often they asked altogether.
    pub async fn disperse(mut self) -> usize {
        self.stop.cancel();
        let mut asked = 0;
        while let Some(person) = self.asking.join_next().await {
            asked += person.unwrap();
        }
        let complaints = self.complaints.lock().unwrap();
        assert!(
            complaints.is_empty(),
            "{} of {asked} went wrong: {:#?}",
            complaints.len(),
            &complaints[..complaints.len().min(5)]
        );
        asked
    }

    /// Fails as soon as somebody has complained.
    pub fn must_be_content(&self) {
        let complaints = self.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

struct Person {
    name: String,
    browser: Browser,
    authority: String,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Person {
    async fn ask(mut self, rotation: Rotation, habits: Habits, stop: CancellationToken) -> usize {
        let mut asked = 0;
        while !stop.is_cancelled() {
            let places = if habits.is_parallel { rotation.all().await } else { vec![rotation.next().await] };
            let mut answers = JoinSet::new();
            for place in places {
                let mut tab = self.browser.clone();
                tab.reaches_at(&self.authority, &place.to_string());
                let url = format!("http://{}{}", self.authority, habits.path);
                answers.spawn(async move {
                    let since = Instant::now();
                    let seen = page(&mut tab, url).await;
                    (tab, place, since.elapsed(), seen)
                });
            }
            while let Some(answered) = answers.join_next().await {
                let (tab, place, took, seen) = answered.unwrap();
                asked += 1;
                match seen {
                    Ok(Seen { user, has_news }) if user == self.name => {
                        if has_news {
                            self.browser = tab;
                        }
                    }
                    Ok(Seen { user, .. }) => self.complain(&format!("taken for {user}"), place, took),
                    Err(wrong) => self.complain(&wrong, place, took),
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(habits.rest) => {}
            }
        }
        asked
    }

    fn complain(&self, what: &str, place: SocketAddr, took: Duration) {
        self.complaints.lock().unwrap().push(format!("{}: {what} from {place} after {took:?}", self.name));
    }
}

/// What a browser shows in the end.
struct Seen {
    user: String,
    /// It has other cookies than before.
    has_news: bool,
}

/// Opens a page. Where nobody but the browser can ask the provider whether its session still stands, that happens on the way, without a question
/// to the person (`prompt=none`).
async fn page(tab: &mut Browser, mut url: String) -> Result<Seen, String> {
    let mut has_news = false;
    for _ in 0..5 {
        let answer = tab.get(&url).await;
        has_news |= !answer.set_cookies().is_empty();
        if answer.status == 200 {
            return Ok(Seen { user: answer.body, has_news });
        }
        url = if answer.status.is_redirection() { answer.location() } else { String::new() };
        let asks_the_person = (url.contains("/_auth/login") && !url.contains("check=1"))
            || (url.contains("/authorize") && !url.contains("prompt=none"));
        if url.is_empty() || asks_the_person {
            return Err(format!("{} {url}", answer.status));
        }
    }
    Err(format!("one redirect after the other, at last to {url}"))
}

/// A browser in which `name` has signed in, at the gateway at `at`.
pub async fn signed_in(authority: &str, at: SocketAddr, name: &str) -> Browser {
    let mut browser = Browser::new();
    browser.reaches_at(authority, &at.to_string());
    let page = browser.reach_provider(&format!("http://{authority}/")).await;
    let callback = browser.choose(&page, &someone(name, "{}")).await;
    let answer = browser.get(&callback).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    browser
}

/// Signs out at the gateway at `at`; the `Cookie` that was good until then.
pub async fn sign_out(browser: &mut Browser, authority: &str, at: SocketAddr) -> String {
    let cookie = browser.cookies_for(authority);
    browser.reaches_at(authority, &at.to_string());
    let answer = browser.get(&format!("http://{authority}/_auth/logout")).await;
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
    cookie
}
