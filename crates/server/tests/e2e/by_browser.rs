//! An agent's whole life in a browser, as a person who was given the set-up link.

use std::time::Duration;

use crate::{
    berth::Berth,
    browser::{Browser, Screen},
    setting::say,
};

/// What a page may take to show what was pressed.
const SOON: Duration = Duration::from_secs(20);
/// What a machine may take.
const LONG: Duration = Duration::from_mins(3);

#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn in_a_browser_as_a_person() {
    let mut berth = Berth::fresh().await;
    berth.start(&[]).await;
    let link = berth.link.clone().expect("a set-up link while there is no operator");
    let page = Browser::open(&berth.setting, Screen::Desk).await;

    page.go(&link).await;
    page.shoot("01-setup").await;
    page.fill("#email", "captain@example.org").await;
    page.fill("#tenant", "Harbour").await;
    page.press("form.stack button").await;
    page.until("the dashboard", SOON, async || page.address().await.ends_with("/dashboard")).await;
    assert!(page.words().await.contains("Create your first agent"), "{}", page.words().await);
    page.shoot("02-empty-dashboard").await;

    page.fill("#name", "scout").await;
    page.press("form.row button").await;
    page.until("the agent's page", SOON, async || page.address().await.contains("/agents/agt_")).await;
    let agent = page.address().await;
    page.until("a step on the timeline", SOON, async || page.text("#timeline").await.contains("Making the machine"))
        .await;
    page.shoot("03-preparing").await;
    page.titled("live", LONG).await;
    page.shoot("04-live").await;
    assert!(
        page.text("#machine").await.to_lowercase().contains("development isolation"),
        "{}",
        page.text("#machine").await
    );

    page.fill("#text", "hello from a browser").await;
    page.press("#say button").await;
    let answer = async || page.text("#talk").await;
    page.until("an answer", Duration::from_secs(75), async || answer().await.contains("I am not an AI")).await;
    assert!(answer().await.matches("hello from a browser").count() >= 2, "{}", answer().await);
    page.shoot("05-answered").await;

    let before = page.text("#proof").await;
    page.press("#act-proof").await;
    page.until("another proof", LONG, async || {
        let now = page.text("#proof").await;
        now.contains("Answered") && id(&now) != id(&before)
    })
    .await;
    page.press("form[action$='/logs'] button").await;
    page.until("log lines", Duration::from_secs(45), async || !page.text("#logs ol.log li").await.is_empty()).await;
    page.shoot("06-proof-and-logs").await;
    on_a_telephone(&berth, &agent).await;

    page.until("it is live", LONG, async || page.title().await.to_lowercase().contains("live")).await;
    page.press("#act-stop").await;
    page.titled("stopped", LONG).await;
    page.shoot("07-stopped").await;
    page.press("#act-start").await;
    page.titled("live", LONG).await;
    page.shoot("08-live-again").await;

    page.fill("#confirm", "scoot").await;
    page.press("button.danger").await;
    page.until("the wrong name is said", SOON, async || !page.text("#delete-fault").await.is_empty()).await;
    page.shoot("09-wrong-name").await;
    // The field keeps what was typed: mended by a person who selects all of it.
    page.fill("#confirm", "\u{e009}a\u{e000}scout").await;
    page.press("button.danger").await;
    page.until("the empty dashboard", LONG, async || {
        if !page.address().await.ends_with("/dashboard") {
            return false;
        }
        page.words().await.contains("Create your first agent")
    })
    .await;
    page.shoot("10-empty-again").await;
    let complaints = page.complaints().await;
    for line in &complaints {
        say(&format!("console: {line}"));
    }
    assert!(
        !complaints.iter().any(|line| line.contains("Content Security Policy") || line.contains("Uncaught")),
        "{complaints:?}"
    );
    page.close().await;
    berth.nothing_left().await;
    berth.end().await;
}

/// The id on a card: its last word.
fn id(card: &str) -> &str {
    card.split_whitespace().find(|word| word.starts_with("prf_")).unwrap_or_default()
}

/// The same pages at 360 pixels, signed in by a link from the command line.
async fn on_a_telephone(berth: &Berth, agent: &str) {
    let link = berth.sign_in_link("captain@example.org").await;
    let page = Browser::open(&berth.setting, Screen::Telephone).await;
    page.go(&link).await;
    page.assert_fits(360).await;
    page.shoot("20-telephone-login").await;
    page.press("form.stack button").await;
    page.until("signed in", SOON, async || page.address().await.ends_with("/dashboard")).await;
    page.assert_fits(360).await;
    page.shoot("21-telephone-dashboard").await;
    page.go(agent).await;
    page.until("the agent", SOON, async || page.title().await.to_lowercase().contains("scout")).await;
    page.assert_fits(360).await;
    page.shoot("22-telephone-agent").await;
    page.go(&format!("{}/settings", berth.url())).await;
    page.assert_fits(360).await;
    // A link works once.
    page.go(&link).await;
    page.press("form.stack button").await;
    page.until("a used link is refused", SOON, async || page.address().await.contains("/login")).await;
    page.shoot("23-telephone-used-link").await;
    page.close().await;
}
