//! Headless Chromium, driven as a person would: one look, one press at a time.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver, WebElement, error::WebDriverResult,
};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::setting::{Setting, say};

/// A browser with a profile of its own, and the program that drives it.
pub(crate) struct Browser {
    driver: Option<WebDriver>,
    // Dropped after the session: first the driver, then the profile's folder.
    program: Child,
    _profile: TempDir,
}

/// How wide and high, and whether it is a telephone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Screen {
    Desk,
    Telephone,
}

/// The colours that its owner prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shade {
    Light,
    Dark,
}

impl Browser {
    pub(crate) async fn open(setting: &Setting, screen: Screen) -> Self {
        Self::open_in(&setting.chromedriver, screen, Shade::Light).await
    }

    /// The same with a choice of colours.
    pub(crate) async fn open_in(chromedriver: &str, screen: Screen, shade: Shade) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let profile = TempDir::new().unwrap();
        let program = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed");
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary("/usr/bin/chromium").unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            if shade == Shade::Dark { "--blink-settings=preferredColorScheme=0" } else { "--disable-dark-mode" },
            &folder,
        ] {
            wanted.add_arg(argument).unwrap();
        }
        if matches!(screen, Screen::Telephone) {
            let metrics = serde_json::json!({ "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 2.0 } });
            wanted.add_experimental_option("mobileEmulation", metrics).unwrap();
        }
        let began = Instant::now();
        let driver = loop {
            match WebDriver::new(&format!("http://127.0.0.1:{port}"), wanted.clone()).await {
                Ok(driver) => break driver,
                Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "no browser: {error}"),
            }
            sleep(Duration::from_millis(200)).await;
        };
        Self { driver: Some(driver), program, _profile: profile }
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("it is open")
    }

    pub(crate) async fn go(&self, url: &str) {
        self.driver().goto(url).await.unwrap();
    }

    pub(crate) async fn address(&self) -> String {
        self.driver().current_url().await.unwrap().to_string()
    }

    pub(crate) async fn title(&self) -> String {
        self.driver().title().await.unwrap_or_default()
    }

    /// All that a person reads on the page.
    pub(crate) async fn words(&self) -> String {
        self.text("body").await
    }

    /// What stands in an element; empty when it is not there or is being replaced.
    pub(crate) async fn text(&self, css: &str) -> String {
        match self.driver().find(By::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, css: &str, words: &str) {
        self.with(css, |field| async move { field.send_keys(words).await }).await;
    }

    /// Presses what can be seen and is not disabled.
    pub(crate) async fn press(&self, css: &str) {
        self.with(css, |button| async move { button.click().await }).await;
    }

    /// The page's parts are replaced as it lives: what went stale is found anew.
    async fn with<F: Future<Output = WebDriverResult<()>>>(&self, css: &str, act: impl Fn(WebElement) -> F) {
        let began = Instant::now();
        loop {
            let done = match self.driver().find(By::Css(css)).await {
                Ok(element) => act(element).await,
                Err(error) => Err(error),
            };
            let Err(error) = done else { return };
            if began.elapsed() > Duration::from_secs(10) {
                self.shoot("stuck").await;
                panic!("{css}: {error}\n{}", self.words().await);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the title holds a word.
    pub(crate) async fn titled(&self, word: &str, longest: Duration) {
        self.until(&format!("a title with {word}"), longest, async || self.title().await.to_lowercase().contains(word))
            .await;
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, longest: Duration, so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !so().await {
            if began.elapsed() > longest {
                self.shoot("stuck").await;
                panic!("not within {longest:?}: {what}\n{}\n{}", self.title().await, self.words().await);
            }
            sleep(Duration::from_millis(200)).await;
        }
        say(&format!("{:>6.1} s {what}", began.elapsed().as_secs_f64()));
    }

    /// The page is not wider than the window, as a person who never scrolls sideways wants it.
    pub(crate) async fn assert_fits(&self, width: i64) {
        let script = "return [document.documentElement.scrollWidth, window.innerWidth]";
        let widths: (i64, i64) = self.driver().execute(script, Vec::new()).await.unwrap().convert().unwrap();
        assert!(widths.0 <= width && widths.1 <= width, "{} is {widths:?} wide, not {width}", self.address().await);
    }

    /// What a script returns; a promise is waited for.
    pub(crate) async fn run(&self, script: &str) -> serde_json::Value {
        let returned = self.driver().execute(script, Vec::new()).await;
        returned.unwrap_or_else(|error| panic!("{error}")).json().clone()
    }

    /// A picture of the whole page, in target/e2e.
    pub(crate) async fn shoot(&self, name: &str) {
        let folder = pictures();
        std::fs::create_dir_all(&folder).unwrap();
        self.driver().screenshot(&folder.join(format!("{name}.png"))).await.ok();
    }

    /// What the page complained about in the browser's console, favicons and navigation aside.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver().browser_log().await.unwrap_or_default();
        log.into_iter().map(|entry| entry.message).collect()
    }

    pub(crate) async fn close(mut self) {
        if let Some(driver) = self.driver.take() {
            driver.quit().await.ok();
        }
        self.program.kill().await.ok();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A failed test has no time for a session's end; chromedriver's end takes Chromium with it.
        if let Some(driver) = self.driver.take() {
            driver.leak().ok();
            self.program.start_kill().ok();
        }
    }
}

fn pictures() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_berth"));
    program.ancestors().nth(2).unwrap_or(program).join("e2e")
}
