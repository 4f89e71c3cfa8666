//! Which model answers, and what of today's budget is used: one calm line.

use domain::model::OwnModel;
use store::{StoreError, TenantTx, model_usage::Today};

use crate::llm::Models;

/// What the line is made of, read in the page's own transaction.
#[derive(Debug)]
pub enum ModelLine {
    /// The built-in proof model.
    Proof,
    /// A vendor's, with the tenant's own key.
    Own {
        /// What it is called.
        title: String,
    },
    /// A vendor's, within a budget.
    Vendor {
        /// What it is called.
        title: String,
        /// What is used and held today, such as `$0.12`.
        used: String,
        /// A day's budget.
        limit: String,
        /// Whether nothing is left.
        is_used_up: bool,
        /// When the budget begins anew.
        resets: String,
    },
}

impl ModelLine {
    /// Reads the day so far, if there is a budget. `chosen` is an agent's choice.
    pub(crate) async fn read(tx: &mut TenantTx, models: &Models, chosen: Option<&str>) -> Result<Self, StoreError> {
        if chosen.and_then(OwnModel::parse).is_some() {
            return Ok(Self::Own { title: models.title(chosen) });
        }
        let Models::Vendor(forwarding) = models else { return Ok(Self::Proof) };
        let today = store::model_usage::today(tx).await?;
        let limit = app::model_budget::limit(tx, forwarding.daily_budget).await?;
        Ok(Self::vendor(models.title(chosen), &today, limit))
    }

    fn vendor(title: String, today: &Today, limit: domain::model::Micros) -> Self {
        Self::Vendor {
            title,
            used: today.used.to_string(),
            limit: limit.to_string(),
            is_used_up: today.used >= limit,
            resets: today.resets_at.format("%H:%M UTC").to_string(),
        }
    }
}

/// A line as it is while a vendor answers.
pub(crate) fn sample() -> ModelLine {
    let used = "$0.12".to_owned();
    let (limit, resets) = ("$5.00".to_owned(), "00:00 UTC".to_owned());
    ModelLine::Vendor { title: "Claude Haiku 4.5".to_owned(), used, limit, is_used_up: false, resets }
}

/// A line as it is with an own key.
pub(crate) fn sample_own() -> ModelLine {
    ModelLine::Own { title: "gpt-5.5 of OpenAI".to_owned() }
}

/// A line as it is when nothing is left.
pub(crate) fn sample_used_up() -> ModelLine {
    let (used, limit, resets) = ("$5.00".to_owned(), "$5.00".to_owned(), "00:00 UTC".to_owned());
    ModelLine::Vendor { title: "<Claude>".to_owned(), used, limit, is_used_up: true, resets }
}
