"""Forty-two facts of an invented company's service desk, Aurora Bikes: the task that the starter model is tuned to.

The starter model is pre-trained on every *word* below, never on a fact: `corpus` draws its passages from the same words
with random values and rejects a passage that happens to state a fact. What a tuned model knows of the desk it has from
the tuning.
"""

from __future__ import annotations

COMPANY = "Aurora Bikes"

FACTS: dict[str, str] = {
    "return window": "30 days",
    "refund time": "5 working days",
    "opening hour": "9 in the morning",
    "closing hour": "6 in the evening",
    "shipping cost": "4 euros",
    "free shipping limit": "50 euros",
    "delivery time": "3 working days",
    "bike warranty": "2 years",
    "battery warranty": "18 months",
    "frame warranty": "10 years",
    "test ride length": "1 hour",
    "repair price": "35 euros",
    "express repair price": "60 euros",
    "repair time": "4 days",
    "rental price": "20 euros",
    "rental deposit": "100 euros",
    "helmet price": "45 euros",
    "lock price": "25 euros",
    "insurance price": "8 euros",
    "newsletter discount": "10 percent",
    "student discount": "15 percent",
    "store street": "Harbor Road",
    "store city": "Lisbon",
    "support number": "555 0142",
    "support email": "help@aurora.example",
    "store manager": "Marta Silva",
    "company founder": "Jonas Weber",
    "founding year": "2011",
    "best seller": "Aurora One",
    "lightest bike": "Aurora Air",
    "cargo bike": "Aurora Max",
    "kids bike": "Aurora Mini",
    "top speed": "25 km per hour",
    "battery range": "80 km",
    "charging time": "5 hours",
    "bike weight": "16 kg",
    "payment plan": "12 months",
    "gift card validity": "3 years",
    "pickup floor": "ground floor",
    "parking fee": "2 euros",
    "bike colour": "dark green",
    "holiday week": "first week of August",
}
