//! Pages of development mode: templates and one small stylesheet, compiled in.
//!
//! Everything a template prints is escaped, whatever the template is called; the stylesheet is the one exception and is
//! ours. No page runs a script, and its policy would not let it: only the stylesheet, by its hash, is allowed.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{StatusCode, header::CONTENT_SECURITY_POLICY};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use serde::Serialize;

use super::answer::{self, Answer};

/// One page's template.
#[derive(Clone, Copy, Debug)]
pub(super) enum Template {
    /// Who do you want to be?
    People,
    /// The answer, as a form that goes back to the client.
    Post,
    /// A few words, and nothing to do.
    Notice,
    /// Other clients are told, each in a frame.
    Frames,
    /// The headers that arrived.
    Headers,
}

impl Template {
    fn name(self) -> &'static str {
        match self {
            Self::People => "people.html",
            Self::Post => "post.html",
            Self::Notice => "notice.html",
            Self::Frames => "frames.html",
            Self::Headers => "headers.html",
        }
    }
}

const TEMPLATES: [(&str, &str); 7] = [
    ("base.html", include_str!("pages/base.html")),
    ("banner.html", include_str!("pages/banner.html")),
    ("people.html", include_str!("pages/people.html")),
    ("post.html", include_str!("pages/post.html")),
    ("notice.html", include_str!("pages/notice.html")),
    ("frames.html", include_str!("pages/frames.html")),
    ("headers.html", include_str!("pages/headers.html")),
];

const STYLE: &str = include_str!("pages/style.css");

/// The pages, read once.
#[derive(Debug)]
pub(super) struct Pages {
    environment: Environment<'static>,
    policy: String,
}

/// What `notice.html` prints.
#[derive(Serialize)]
pub(super) struct Notice<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// What `frames.html` prints.
#[derive(Serialize)]
struct Frames<'a> {
    frames: &'a [String],
    location: Option<&'a str>,
}

impl Pages {
    /// Reads the templates.
    ///
    /// # Panics
    /// When a template is malformed; they are compiled in, and a test prints each.
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_global("style", STYLE);
        for (name, source) in TEMPLATES {
            #[expect(clippy::expect_used, reason = "compiled in; a test prints every page")]
            environment.add_template(name, source).expect("the template is well-formed");
        }
        Self { environment, policy: policy() }
    }

    /// A page for people.
    pub(super) fn show(&self, status: StatusCode, template: Template, values: impl Serialize) -> Answer {
        match self.environment.get_template(template.name()).and_then(|page| page.render(Serde(&values))) {
            Ok(text) => answer::html(status, &self.policy, text),
            Err(error) => answer::broken(&error),
        }
    }

    /// A page that visits `frames` unseen, and leads on to `location`.
    pub(super) fn frames(&self, frames: &[String], location: Option<&str>) -> Answer {
        let mut answer = self.show(StatusCode::OK, Template::Frames, Frames { frames, location });
        answer::set(&mut answer, CONTENT_SECURITY_POLICY, &format!("{}; frame-src http: https:", self.policy));
        answer
    }

    /// A page that says `text`.
    pub(super) fn notice(&self, status: StatusCode, title: &str, text: &str) -> Answer {
        self.show(status, Template::Notice, Notice { title, text })
    }
}

/// `form-action` is left out: browsers apply it to every redirect that follows a form, and after the sign-in the
/// application behind the gateway may send the browser anywhere.
fn policy() -> String {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
}
