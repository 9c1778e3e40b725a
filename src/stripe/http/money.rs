//! The ways between subscriptions, invoices, payments and refunds.

use super::super::{Error, Page, PaidInvoice, Payment, Refund, form, wire};
use super::HttpStripe;

const INVOICE_PAYMENTS: &str = "/v1/invoice_payments";

impl HttpStripe {
    /// Ids of the invoices of a subscription that stand so.
    pub(super) async fn invoices(
        &self,
        subscription_id: &str,
        status: &str,
    ) -> Result<Vec<String>, Error> {
        let mut url = self.url(&["invoices"]);
        url.query_pairs_mut().extend_pairs([
            ("limit", "100"),
            ("status", status),
            ("subscription", subscription_id),
        ]);
        let page: wire::Page<wire::Named> = self.get("/v1/invoices", url).await?;
        Ok(Page::from(page).data)
    }

    /// What of Stripe's own paid an invoice.
    pub(super) async fn read_payments(&self, invoice_id: &str) -> Result<Vec<Payment>, Error> {
        let mut url = self.url(&["invoice_payments"]);
        url.query_pairs_mut().extend_pairs([
            ("limit", "100"),
            ("status", "paid"),
            ("invoice", invoice_id),
        ]);
        let page: wire::Page<wire::InvoicePayment> = self.get(INVOICE_PAYMENTS, url).await?;
        let paid: Vec<Option<Payment>> = Page::from(page).data;
        Ok(paid.into_iter().flatten().collect())
    }

    /// The invoice of a payment. One payment may be meant for several invoices: the one that it
    /// paid comes first.
    pub(super) async fn read_invoice_of(
        &self,
        payment: &str,
    ) -> Result<Option<PaidInvoice>, Error> {
        if !form::is_id(payment) {
            return Ok(None);
        }
        let mut url = self.url(&["invoice_payments"]);
        url.query_pairs_mut().extend_pairs([
            ("limit", "100"),
            ("payment[type]", "payment_intent"),
            ("payment[payment_intent]", payment),
            ("expand[]", "data.invoice"),
        ]);
        let page: wire::Page<wire::PaymentOf> = match self.get(INVOICE_PAYMENTS, url).await {
            // A payment of no invoice has none of these, and may be unknown here at all.
            Err(Error::Invalid { code, .. }) if code == "resource_missing" => return Ok(None),
            answer => answer?,
        };
        let mut found = page.rows();
        found.sort_by_key(|row| row.status.as_deref() != Some("paid"));
        match found.into_iter().next().map(|row| row.invoice) {
            None => Ok(None),
            Some(wire::InvoiceRef::Whole(invoice)) => Ok(Some(invoice.into())),
            Some(wire::InvoiceRef::Id(id)) => {
                let url = self.object_url(&["invoices"], &id)?;
                let invoice: wire::InvoiceOf = self.get("/v1/invoices/{id}", url).await?;
                Ok(Some(invoice.into()))
            }
        }
    }

    /// What became of a refund.
    pub(super) async fn read_refund(&self, id: &str) -> Result<Refund, Error> {
        let url = self.object_url(&["refunds"], id)?;
        let refund: wire::Refund = self.get("/v1/refunds/{id}", url).await?;
        Ok(refund.into())
    }

    /// The refunds of a payment that were not in vain.
    pub(super) async fn read_refunds(&self, payment: &str) -> Result<Vec<Refund>, Error> {
        let mut url = self.url(&["refunds"]);
        url.query_pairs_mut()
            .extend_pairs([("limit", "100"), ("payment_intent", payment)]);
        let page: wire::Page<wire::Refund> = self.get("/v1/refunds", url).await?;
        let mut refunds: Vec<Refund> = Page::from(page).data;
        refunds.retain(|refund| !refund.in_vain());
        Ok(refunds)
    }
}
