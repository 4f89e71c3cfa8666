//! A browser's session, as its two cookies hold it.
//!
//! One holds a pass: signed, good for ten minutes, read without asking anybody. The
//! other renews it, and is spent in doing so. Both are bound to this host and out of
//! every script's reach. What the person may do is looked up for each request
//! ([`store::Db::caller_in`]), so that an ended session is over at once.

use std::sync::{Arc, Mutex, PoisonError};

use app::sessions::{Opened, Presented};
use chrono::TimeDelta;
use domain::people::Caller;
use http::{HeaderMap, HeaderValue, header};
use store::sessions::Standing;
use vault::{Pass, Token, TokenKind};

use crate::{
    errors::Fault as _,
    problem::Problem,
    state::{Site, Web},
};

/// How long a pass is good; [`Pass::LONGEST`] is the most that there may be.
const PASS: TimeDelta = TimeDelta::minutes(10);
/// What the clocks of two processes' last look-ups may be apart.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Cookies that the answer will set, whatever the handler answers. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jar(Arc<Mutex<Vec<HeaderValue>>>);

impl Jar {
    fn put(&self, cookies: impl IntoIterator<Item = HeaderValue>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(cookies);
    }

    /// Puts them into the answer, but for those that the handler set itself: its own are newer.
    pub(crate) fn empty_into(&self, headers: &mut HeaderMap) {
        let cookies = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let name = |cookie: &HeaderValue| cookie.to_str().unwrap_or_default().split('=').next().map(str::to_owned);
        let set: Vec<_> = headers.get_all(header::SET_COOKIE).iter().map(name).collect();
        for cookie in cookies.into_iter().filter(|cookie| !set.contains(&name(cookie))) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

/// Who is in the session that the cookies show, and the time; renews it when the pass has run out.
pub(crate) async fn caller(web: &Web, headers: &HeaderMap, jar: &Jar) -> Result<Option<(Caller, Standing)>, Problem> {
    if let Some(pass) = pass(&web.site, headers)
        && let Some((caller, standing)) = web.db.caller_in(pass.session).await.or_problem()?
        && caller.user == pass.user
        && standing.now < pass.until
        && pass.from <= standing.now + SKEW
    {
        return Ok(Some((caller, standing)));
    }
    let Some(presented) = refresh(&web.site, headers) else { return Ok(None) };
    let mut tx = web.db.system().await.or_problem()?;
    match app::sessions::renew(&mut tx, &*web.dice.0, &presented).await.or_problem()? {
        Presented::Good(opened) => {
            tx.commit().await.or_problem()?;
            jar.put(cookies(&web.site, &opened));
            web.db.caller_in(opened.standing.id).await.or_problem()
        }
        Presented::Stolen(standing) => {
            tx.commit().await.or_problem()?;
            tracing::warn!(session = %standing.id, user = %standing.user, "a spent cookie was shown again: the session was ended");
            jar.put(no_cookies(&web.site));
            Ok(None)
        }
        Presented::Unknown => Ok(None),
    }
}

/// The cookies of a session that was opened or renewed.
pub(crate) fn cookies(site: &Site, opened: &Opened) -> Vec<HeaderValue> {
    let standing = opened.standing;
    let until = standing.expires_at.min(standing.now + PASS);
    let pass = Pass { session: standing.id, user: standing.user, from: standing.now, until };
    let seconds = (standing.expires_at - standing.now).num_seconds();
    let pass = cookie(site, site.cookie_name(), &site.sign_in.keys.sign(&pass), seconds);
    let refresh = opened.refresh.as_ref().and_then(|token| cookie(site, refresh_name(site), token.expose(), seconds));
    pass.into_iter().chain(refresh).collect()
}

/// What takes both cookies away.
pub(crate) fn no_cookies(site: &Site) -> Vec<HeaderValue> {
    [site.cookie_name(), refresh_name(site)].into_iter().filter_map(|name| cookie(site, name, "", 0)).collect()
}

/// The session that the pass shows, good or not: to be ended.
pub(crate) fn pass(site: &Site, headers: &HeaderMap) -> Option<Pass> {
    site.sign_in.keys.read(shown(headers, site.cookie_name())?)
}

/// What renews the session, if it is there and well-formed.
pub(crate) fn refresh(site: &Site, headers: &HeaderMap) -> Option<Token> {
    Token::parse(TokenKind::Session, shown(headers, refresh_name(site))?)
}

/// A cookie as the browser sent it.
pub(crate) fn shown<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    values.find(|(given, _)| *given == name).map(|(_, value)| value)
}

/// A cookie bound to this host, sent over TLS only where there is TLS, out of reach for scripts and other sites.
pub(crate) fn cookie(site: &Site, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if site.is_https() { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A browser in a few words: `Firefox on Linux`. Never the whole text that it sends of itself.
pub(crate) fn browser(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let find =
        |words: &[(&str, &'static str)]| words.iter().find(|(part, _)| text.contains(part)).map(|(_, name)| *name);
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let systems = [
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "a Mac"),
        ("Linux", "Linux"),
    ];
    match (find(&browsers), find(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("a browser on {system}"),
        (None, None) => "an unknown browser".to_owned(),
    }
}

fn refresh_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-berth-refresh" } else { "berth_refresh" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_in_a_few_words() {
        let told = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, text.parse().unwrap());
            browser(&headers)
        };
        assert_eq!(told("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"), "Firefox on Linux");
        let safari =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1";
        assert_eq!(told(safari), "Safari on an iPhone");
        assert_eq!(told("<script>alert(1)</script>"), "an unknown browser");
        assert_eq!(browser(&HeaderMap::new()), "an unknown browser");
    }
}
