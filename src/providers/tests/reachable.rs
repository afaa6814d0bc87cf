//! Whether a provider can be reached: nobody is sent to one that is down.

use super::*;

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn a_provider_that_is_down_is_noticed_within_a_minute_and_asked_once_in_a_while() {
    let (op, _) = good().await;
    let mut settings = op.settings();
    settings.limits.timeout = Duration::from_millis(300);
    let (provider, clock) = op.known(settings);
    let mut asked = 0;
    for (passed, answer, reachable, asks) in [
        (0, None, true, true),
        (59, Some(Answer::Never), true, false),
        (1, None, false, true),
        (29, Some(Answer::Json(op.metadata())), false, false),
        (1, None, true, true),
        (60, Some(Answer::Any { status: 503, headers: vec![], body: "".into() }), false, true),
        (30, Some(Answer::Json(json!({"issuer": "https://other"}))), false, true),
        (30, Some(Answer::Json(op.metadata())), true, true),
    ] {
        clock.advance(Duration::from_secs(passed));
        if let Some(answer) = answer {
            op.answers(METADATA, answer);
        }
        asked += usize::from(asks);
        let many = (0..20).map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.is_reachable().await })
        });
        for one in many.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), reachable, "after {passed} s, asked {asked} times");
        }
        assert_eq!(op.hits(METADATA), asked, "after {passed} s");
    }
    assert!(sign_in(&provider).await.is_ok(), "what was known is used all the same");
}

#[tokio::test]
async fn where_nothing_is_asked_for_there_is_nothing_to_notice() {
    let op = FakeProvider::start().await;
    op.status(METADATA, 503, "");
    let (provider, _) = op.known(super::oauth2::settings(&op));
    assert!(provider.is_reachable().await);
    assert_eq!(op.hits(METADATA), 0);
}
