//! A dispute as JSON: the same in every version.

use serde_json::{Value, json};

use super::{Dispute, Move};

/// Seconds that there are for an answer.
const ANSWER_WITHIN: i64 = 7 * 86_400;

impl Dispute {
    /// The dispute as it is shown. Whose it is, is not said.
    pub(in super::super) fn render(&self) -> Value {
        let inquiry = self.status.is_inquiry();
        let moves: Vec<Value> = self.moves.iter().map(|one| self.render_move(one)).collect();
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": moves,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {
                "due_by": self.created + ANSWER_WITHIN,
                "has_evidence": self.answered,
                "past_due": false,
                "submission_count": i64::from(self.answered),
            },
            "is_charge_refundable": self.refundable,
            "livemode": self.livemode,
            "metadata": {},
            "network_reason_code": null,
            "payment_intent": self.payment_intent,
            "payment_method_details": {
                "card": {
                    "brand": "visa",
                    "case_type": if inquiry { "inquiry" } else { "chargeback" },
                    "network_reason_code": null,
                },
                "type": "card",
            },
            "reason": self.reason,
            "status": self.status,
        })
    }

    fn render_move(&self, one: &Move) -> Value {
        json!({
            "id": one.id,
            "object": "balance_transaction",
            "amount": one.amount,
            "available_on": one.at,
            "created": one.at,
            "currency": self.currency,
            "exchange_rate": null,
            "fee": one.fee,
            "net": one.amount - one.fee,
            "reporting_category": if one.amount < 0 { "dispute" } else { "dispute_reversal" },
            "source": self.id,
            "status": "available",
            "type": "adjustment",
        })
    }
}
